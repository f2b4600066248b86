// How a thread without an event loop sleeps until others have work for it: a futex.
//
// Owner:   the sleeper. Threads: wait() on one, signal() on any. REQUIRES: it outlives them.
// Cost:    signal() is a system call only when the other side sleeps and no earlier signal() is unseen.
// Use:     who has work publishes it (SpscRing::publish()), then calls signal(), once for the whole batch. The sleeper
//          looks into all its queues after every wait() and sleeps again only when it found nothing (else: timeout 0).
//          What was published before a signal() is seen after the wait() that it ends. See docs/queue.md.
#pragma once

#include "queue/sleep_state.h"

namespace pelikan {

class Waker {
 public:
  void signal() noexcept {
    if (state_.signal()) wake();
  }
  // Sleeps until signalled or until the time is over (-1: no limit; 0: only look). True: signalled, now or since the
  // last wait().
  bool wait(int timeout_ms) noexcept;

 private:
  void wake() noexcept;
  void sleep(int timeout_ms) noexcept;

  SleepState state_;
};

}  // namespace pelikan
