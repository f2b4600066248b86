// How another thread ends a loop's wait(): an eventfd, written only when the loop sleeps.
//
// Owner:   a loop. Threads: signal() on any, the rest on the loop's thread.
// When to write, and why no signal is lost: queue/sleep_state.h.
#pragma once

#include "net/fd.h"
#include "queue/sleep_state.h"

namespace pelikan::net {

class Wakeup {
 public:
  Wakeup();  // throws std::runtime_error

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  void signal() noexcept;
  // A signal has come since the last end_sleep(); what it tells of is visible after the next.
  [[nodiscard]] bool signalled() const noexcept { return state_.signalled(); }
  // False: a signal has come, do not sleep.
  [[nodiscard]] bool begin_sleep() noexcept { return state_.begin_sleep(); }
  void end_sleep() noexcept { state_.end_sleep(); }

 private:
  Fd fd_;
  SleepState state_;
};

}  // namespace pelikan::net
