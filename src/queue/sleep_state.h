// The agreement between a thread that may sleep and those that wake it, so that a system call is made only when it does
// sleep. What sleeping and waking are is the user's: a futex (Waker), an event loop (net::Wakeup).
//
// Owner:   the sleeper. Threads: signal() on any, the rest on the sleeper's.
//
//              begin_sleep()                          signal() says "wake it" on the edge asleep -> signalled only.
//    awake ------------------> asleep                 All edges are read-modify-writes of one word: what a thread wrote
//      ^  ^                      | signal()           before signal() is visible after the sleeper's next end_sleep().
//      |  +----- end_sleep() ----+                    No edge signalled -> asleep: no signal is slept through.
//      +-------- end_sleep() -- signalled <--- signal() --- awake
//
// The sleeper looks for work after every end_sleep() and before the next begin_sleep(). Why that loses nothing:
// docs/queue.md.
#pragma once

#include <atomic>
#include <cstdint>

namespace pelikan {

class SleepState {
 public:
  // True: the sleeper sleeps, and it is this caller who must wake it.
  [[nodiscard]] bool signal() noexcept { return word_.exchange(kSignalled, std::memory_order_release) == kAsleep; }
  // False: a signal has come, do not sleep.
  [[nodiscard]] bool begin_sleep() noexcept {
    std::uint32_t expected = kAwake;
    return word_.compare_exchange_strong(expected, kAsleep, std::memory_order_relaxed);
  }
  // True: a signal has come since the last end_sleep().
  bool end_sleep() noexcept { return word_.exchange(kAwake, std::memory_order_acquire) == kSignalled; }

  // True: a signal has come. For a sleeper that looks for a while before it sleeps, and calls end_sleep() then.
  [[nodiscard]] bool signalled() const noexcept { return word_.load(std::memory_order_relaxed) == kSignalled; }

  // For a futex: sleep while the word is kAsleep.
  static constexpr std::uint32_t kAsleep = 1;
  [[nodiscard]] const std::atomic<std::uint32_t>& word() const noexcept { return word_; }

 private:
  static constexpr std::uint32_t kAwake = 0;
  static constexpr std::uint32_t kSignalled = 2;

  std::atomic<std::uint32_t> word_{kAwake};
};

}  // namespace pelikan
