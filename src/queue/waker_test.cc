#include "queue/waker.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace pelikan {
namespace {

// Ping-pong: each side waits without a limit for the other's step, so one lost wake-up would hang the test.
TEST(Waker, NoSignalIsLost) {
  constexpr int kSteps = 200'000;
  Waker left;
  Waker right;
  std::atomic<int> step{0};
  std::jthread other([&] {
    for (int mine = 1; mine < kSteps; mine += 2) {
      while (step.load(std::memory_order_relaxed) != mine) right.wait(-1);
      step.store(mine + 1, std::memory_order_relaxed);
      left.signal();
    }
  });
  for (int mine = 0; mine < kSteps; mine += 2) {
    while (step.load(std::memory_order_relaxed) != mine) left.wait(-1);
    step.store(mine + 1, std::memory_order_relaxed);
    right.signal();
  }
}

}  // namespace
}  // namespace pelikan
