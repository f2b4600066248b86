// A bounded queue from one thread to one other, without locks.
//
// Owner:      the process. Threads: push() on the producer, pop() on the consumer, nothing else.
// Invariant:  slots in [head, tail) belong to the consumer, all others to the producer. Indices only grow; a slot is
//             index & mask.
// When full:  push() returns false and the caller keeps the item.
// Memory order: each index has one writer, which publishes it with release after it is done with the slot; the other
//             side reads it with acquire before it touches the slot. Each side keeps a copy of the other's index and
//             reads the shared one only when the copy says full (or empty), so a busy queue moves one cache line per
//             batch, not per item.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"

namespace pelikan {

inline constexpr std::size_t kCacheLineBytes = 64;

template <class T>
class SpscRing {
 public:
  explicit SpscRing(std::size_t capacity) : slots_(capacity), mask_(capacity - 1) {
    CHECK(std::has_single_bit(capacity));
  }

  [[nodiscard]] bool push(T&& item) {
    const std::size_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_seen_ == slots_.size()) {
      head_seen_ = head_.load(std::memory_order_acquire);
      if (tail - head_seen_ == slots_.size()) return false;
    }
    slots_[tail & mask_] = std::move(item);
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }

  [[nodiscard]] std::optional<T> pop() {
    const std::size_t head = head_.load(std::memory_order_relaxed);
    if (head == tail_seen_) {
      tail_seen_ = tail_.load(std::memory_order_acquire);
      if (head == tail_seen_) return std::nullopt;
    }
    std::optional<T> item(std::move(slots_[head & mask_]));
    head_.store(head + 1, std::memory_order_release);
    return item;
  }

 private:
  std::vector<T> slots_;
  const std::size_t mask_;
  alignas(kCacheLineBytes) std::atomic<std::size_t> tail_{0};  // written by the producer
  std::size_t head_seen_ = 0;                                  // producer's copy
  alignas(kCacheLineBytes) std::atomic<std::size_t> head_{0};  // written by the consumer
  std::size_t tail_seen_ = 0;                                  // consumer's copy
};

}  // namespace pelikan
