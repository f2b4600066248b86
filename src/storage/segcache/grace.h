// When may memory that readers found through the index be written again? Every thread says when it starts to read and
// when it holds nothing of what it found; what was taken out of the index before all of them said so is free.
//
// Owner:   shared.h. Threads: enter() and leave() of a thread on that thread; the rest on any. With one thread there is
//          nobody to wait for, and nothing is done.
// Cost:    one exchange per turn of a thread, nothing per request.
// Source:  K. Fraser, Practical lock-freedom (2004), epoch-based reclamation; here with an epoch that every release
//          raises. Memory order: docs/concurrency.md.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace pelikan::storage::segcache {

class Grace {
 public:
  explicit Grace(std::size_t threads) : seen_(threads) {}

  [[nodiscard]] std::size_t threads() const noexcept { return seen_.size(); }

  // The thread holds no view and no slot.
  void leave(std::size_t thread) noexcept { seen_[thread].epoch.store(kAway, std::memory_order_release); }
  // From here on it may read. An exchange, so that either passed() sees it, or it sees what passed() had seen.
  void enter(std::size_t thread) noexcept {
    seen_[thread].epoch.exchange(epoch_.load(std::memory_order_acquire), std::memory_order_acq_rel);
  }

  // What was taken out before this call may be written again as soon as passed(the number returned).
  [[nodiscard]] std::uint64_t raise() noexcept { return epoch_.fetch_add(1, std::memory_order_acq_rel) + 1; }
  [[nodiscard]] bool passed(std::uint64_t number) noexcept {
    return std::ranges::all_of(seen_, [number](Seen& one) {
      std::uint64_t seen = one.epoch.load(std::memory_order_acquire);
      if (seen == kAway) seen = one.epoch.fetch_add(0, std::memory_order_acq_rel);
      return seen >= number;
    });
  }

 private:
  static constexpr std::uint64_t kAway = ~std::uint64_t{0};

  struct alignas(64) Seen {
    std::atomic<std::uint64_t> epoch{kAway};
  };
  std::vector<Seen> seen_;
  alignas(64) std::atomic<std::uint64_t> epoch_{0};
};

}  // namespace pelikan::storage::segcache
