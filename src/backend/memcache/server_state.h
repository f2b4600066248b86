// What the backends of one server have in common: what clients switch on and off, and every backend's counters. So
// whichever worker a client talks to, it talks to the server.
// Owner:   the server's main. Threads: add_counters() before any other runs; everything else on any.
// Cost:    a request that does not ask for any of this takes no lock and writes nothing here.
// Locks:   nobody who might read the storage waits for a lock that is held while the storage is asked for something: it
//          may be waiting for that very reader. So one is held for a copy, and for the other threads wait in rest.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>

#include "backend/memcache/counters.h"
#include "backend/memcache/prefixes.h"

namespace pelikan::backend::memcache {

class ServerState {
 public:
  // What the fields of `stats` were at the last `stats reset`, by their place in its table.
  using Baseline = std::array<std::uint64_t, 96>;

  // For one more backend, which alone writes them; they live as long as this.
  [[nodiscard]] Counters& add_counters() { return counters_.emplace_back(); }
  // The sum of `read(counters)` over all backends.
  template <class Read>
  [[nodiscard]] std::uint64_t sum(Read&& read) const {
    std::uint64_t total = 0;
    for (const Counters& counters : counters_) total += read(counters);
    return total;
  }

  [[nodiscard]] Baseline baseline() const {
    const std::scoped_lock lock(mutex_);
    return baseline_;
  }
  // What was read for a reset. Of two resets at once the later reading counts: none of the fields goes back.
  void reset_stats(const Baseline& now) {
    const std::scoped_lock lock(mutex_);
    std::ranges::transform(baseline_, now, baseline_.begin(), [](auto a, auto b) { return std::max(a, b); });
  }

  // `flush()` empties the storage. What was to be flushed later is forgotten, but not what comes meanwhile.
  template <class Flush>
  void flush_now(Flush&& flush) {
    std::uint32_t pending = flush_at_sec_.load(std::memory_order_relaxed);
    flush();
    flush_at_sec_.compare_exchange_strong(pending, 0, std::memory_order_release);
  }
  // `at_sec`: a second of the monotonic clock. It takes the place of an earlier call's.
  void flush_later(std::uint32_t at_sec) noexcept { flush_at_sec_.store(at_sec, std::memory_order_release); }
  // Once per turn of each worker, before the storage's. The first that comes to the second flushes; others wait for it,
  // so that nobody whose clock shows that second sees what was there before.
  template <class Flush>
  void flush_if_due(std::uint32_t now_sec, Flush&& flush) {
    if (!due(now_sec)) [[likely]]
      return;
    const std::scoped_lock lock(flush_mutex_);
    if (due(now_sec)) flush_now(flush);
  }

  [[nodiscard]] Prefixes& prefixes() noexcept { return prefixes_; }

 private:
  // Acquire: who sees that nothing is due (any more) sees the flush that was.
  [[nodiscard]] bool due(std::uint32_t now_sec) const noexcept {
    const std::uint32_t at_sec = flush_at_sec_.load(std::memory_order_acquire);
    return at_sec != 0 && at_sec <= now_sec;
  }

  std::deque<Counters> counters_;
  Prefixes prefixes_;
  mutable std::mutex mutex_;
  Baseline baseline_{};                         // GUARDED_BY(mutex_)
  std::mutex flush_mutex_;                      // of flush_if_due()
  std::atomic<std::uint32_t> flush_at_sec_{0};  // 0: no flush is waited for
};

}  // namespace pelikan::backend::memcache
