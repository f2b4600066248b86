// Looking for work for some time instead of sleeping at once: who sleeps is woken late.
//
// Owner:   a loop. Threads: the loop's.
// A core that others need is offered to them every kYieldNs; a look costs what the engine's look costs. The clock is
// read when it begins, when it ends, and every kLooksPerReading looks.
#pragma once

#include <chrono>
#include <cstdint>

#include "net/loop.h"
#include "net/wakeup.h"

namespace pelikan::net {

class BusyPoll {
 public:
  // Zero: never.
  explicit BusyPoll(std::chrono::microseconds longest) noexcept
      : longest_ns_(static_cast<std::uint64_t>(longest.count()) * 1000) {}

  [[nodiscard]] bool on() const noexcept { return longest_ns_ != 0; }
  // Until look() is true, a signal has come, or the time is over. True: so is the wait, as something was found or all
  // of `timeout_ms` has passed (-1: no limit). False: the loop may sleep for what is left of it.
  template <class Look>
  [[nodiscard]] bool ends_wait(int& timeout_ms, const Wakeup& wakeup, Look&& look) {
    if (!on() || timeout_ms == 0) return false;
    begin(timeout_ms);
    do {
      for (unsigned i = 0; i < kLooksPerReading; ++i) {
        // In this order: whoever is woken all the time looks at its sockets, too.
        if (look() || wakeup.signalled()) return end(true, timeout_ms);
        relax();
      }
    } while (time_is_left());
    return end(false, timeout_ms);
  }

  [[nodiscard]] const PollCounts& counts() const noexcept { return counts_; }

 private:
  static constexpr unsigned kLooksPerReading = 16;
  static constexpr std::uint64_t kYieldNs = 20'000;

  // Tells the processor that this is a loop that waits: it takes less power, and less from a core's other thread.
  static void relax() noexcept {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
  }
  void begin(int timeout_ms) noexcept;
  [[nodiscard]] bool time_is_left() noexcept;
  bool end(bool found, int& timeout_ms) noexcept;

  const std::uint64_t longest_ns_;
  std::uint64_t begun_ns_ = 0;
  std::uint64_t end_ns_ = 0;
  std::uint64_t yield_ns_ = 0;
  PollCounts counts_;
};

}  // namespace pelikan::net
