// Epochs: when may memory that readers found through the index be written again? Each worker says once per turn, and
// before each write, that it holds nothing it found earlier; what was released before all of them said so is free.
//
// Owner:   shared.h. Threads: announce() and leave() of a worker on that worker's; raise() and passed() on any.
// Cost:    an announcement is a store and a barrier, per turn, not per request. With one worker everything is free.
// Source:  K. Fraser, Practical lock-freedom (2004), epoch-based reclamation; here with a global epoch that every release
//          raises. Memory order: docs/concurrency.md.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace pelikan::storage::segcache {

class Readers {
 public:
  explicit Readers(std::size_t workers) : announced_(workers) {}

  [[nodiscard]] std::size_t workers() const noexcept { return announced_.size(); }

  // The worker holds no view and no slot from before.
  void announce(std::size_t worker) noexcept {
    if (workers() == 1) return;
    announced_[worker].epoch.store(epoch_.load(std::memory_order_acquire), std::memory_order_seq_cst);
  }
  // It will read nothing until it announces again.
  void leave(std::size_t worker) noexcept { announced_[worker].epoch.store(kAway, std::memory_order_release); }

  // What can no longer be found since now may be written again once passed(the number returned).
  [[nodiscard]] std::uint64_t raise() noexcept {
    return workers() == 1 ? 0 : epoch_.fetch_add(1, std::memory_order_seq_cst) + 1;
  }
  [[nodiscard]] bool passed(std::uint64_t number) noexcept {
    if (workers() == 1) return true;
    return std::ranges::all_of(
        announced_, [number](const Announced& one) { return one.epoch.load(std::memory_order_seq_cst) >= number; });
  }

 private:
  static constexpr std::uint64_t kAway = ~std::uint64_t{0};

  struct alignas(64) Announced {
    std::atomic<std::uint64_t> epoch{kAway};
  };
  std::vector<Announced> announced_;
  alignas(64) std::atomic<std::uint64_t> epoch_{1};
};

}  // namespace pelikan::storage::segcache
