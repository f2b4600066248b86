// A bounded queue from one thread to one other, without locks.
//
// Owner:      the process. Threads: stage(), publish() and push() on the producer; consume(), pop() and empty() on the
//             consumer; nothing else.
// Invariant:  slots in [head, tail) belong to the consumer, all others to the producer. Indices only grow (and wrap
//             around); a slot is index & mask.
// When full:  stage() and push() return false and the caller keeps the item.
// Batches:    many stage() and one publish(), or one consume(), cost one store that the other side sees.
//             A consumer that is to sleep when there is nothing to do needs a Waker: publish(), then signal().
// Memory order, and why each index has a cache line of its own: docs/queue.md.
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
class alignas(kCacheLineBytes) SpscRing {
 public:
  // `capacity` is a power of two. `first_index` is for tests of what happens when the indices wrap around.
  explicit SpscRing(std::size_t capacity, std::size_t first_index = 0)
      : slots_(capacity), mask_(capacity - 1), producer_(first_index), consumer_(first_index) {
    CHECK(std::has_single_bit(capacity));
  }

  [[nodiscard]] std::size_t capacity() const noexcept { return mask_ + 1; }

  // Puts an item behind the others; the consumer does not see it before publish(). False: full.
  [[nodiscard]] bool stage(T&& item) {
    if (producer_.next - producer_.other_seen == capacity()) {
      producer_.other_seen = consumer_.published.load(std::memory_order_acquire);
      if (producer_.next - producer_.other_seen == capacity()) return false;
    }
    slots_[producer_.next & mask_] = std::move(item);
    ++producer_.next;
    return true;
  }
  void publish() noexcept { producer_.published.store(producer_.next, std::memory_order_release); }

  [[nodiscard]] bool push(T&& item) {
    if (!stage(std::move(item))) return false;
    publish();
    return true;
  }

  // Calls f(T&&) for at most `max` items, oldest first, and returns for how many. Their slots go back to the producer
  // together, after the last call. `f` must not touch the consumer's side of this ring.
  template <class F>
  std::size_t consume(std::size_t max, F&& f) {
    std::size_t available = consumer_.other_seen - consumer_.next;
    if (available < max) {
      consumer_.other_seen = producer_.published.load(std::memory_order_acquire);
      available = consumer_.other_seen - consumer_.next;
    }
    const std::size_t count = available < max ? available : max;
    for (std::size_t i = 0; i < count; ++i) {
      T item(std::move(slots_[consumer_.next & mask_]));  // whatever f does with it, the slot holds nothing afterwards
      ++consumer_.next;
      f(std::move(item));
    }
    if (count > 0) consumer_.published.store(consumer_.next, std::memory_order_release);
    return count;
  }

  [[nodiscard]] std::optional<T> pop() {
    std::optional<T> item;
    consume(1, [&](T&& oldest) { item.emplace(std::move(oldest)); });
    return item;
  }

  [[nodiscard]] bool empty() noexcept {
    if (consumer_.next != consumer_.other_seen) return false;
    consumer_.other_seen = producer_.published.load(std::memory_order_acquire);
    return consumer_.next == consumer_.other_seen;
  }

 private:
  // One side's index. `published` is all that the other side reads of it.
  struct alignas(kCacheLineBytes) Side {
    explicit Side(std::size_t first_index) : published(first_index), next(first_index), other_seen(first_index) {}

    std::atomic<std::size_t> published;
    std::size_t next;        // goes ahead of `published` within a batch
    std::size_t other_seen;  // the other side's `published`, as last read
  };
  static_assert(sizeof(Side) == kCacheLineBytes);

  std::vector<T> slots_;
  const std::size_t mask_;
  Side producer_;  // tail
  Side consumer_;  // head
};

}  // namespace pelikan
