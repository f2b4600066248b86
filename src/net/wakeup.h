// How another thread ends a loop's wait(): an eventfd, written only when the loop sleeps.
//
// Owner:   a loop. Threads: signal() on any, the rest on the loop's thread.
//
//              begin_sleep()                          The eventfd is written on the edge asleep -> signalled only. Both
//    awake ------------------> asleep                 sides change it by read-modify-write: what a thread published
//      ^  ^                      | signal() + write   before signal() is visible after the loop's next end_sleep().
//      |  +----- end_sleep() ----+                    No edge signalled -> asleep: no signal is slept through.
//      +-------- end_sleep() -- signalled <--- signal() --- awake
#pragma once

#include <atomic>
#include <cstdint>

#include "net/fd.h"

namespace pelikan::net {

class Wakeup {
 public:
  Wakeup();  // throws std::runtime_error

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  void signal() noexcept;
  // False: a signal has come, do not sleep.
  [[nodiscard]] bool begin_sleep() noexcept;
  void end_sleep() noexcept { state_.exchange(State::kAwake, std::memory_order_acq_rel); }

 private:
  enum class State : std::uint8_t { kAwake, kAsleep, kSignalled };

  Fd fd_;
  std::atomic<State> state_{State::kAwake};
};

}  // namespace pelikan::net
