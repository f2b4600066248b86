// wake() from other threads: before the first wait(), while waiting, while busy; never lost, and no system call while
// unseen.
#include "net/wakeup.h"

#include <poll.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "net/loop_test_kit.h"

namespace pelikan::net {
namespace {

using namespace testing;

class WakeTest : public OverAllSetups {};

INSTANTIATE_TEST_SUITE_P(All, WakeTest, ::testing::ValuesIn(setups(Transport::kPair)), label);

TEST_P(WakeTest, BeforeTheFirstWait) {
  const auto loop = make();
  loop->wake();
  loop->wake();
  turn(*loop, -1);  // would wait for ever
}

TEST_P(WakeTest, EndsAWait) {
  const auto loop = make();
  for (int i = 0; i < 200; ++i) {
    std::thread other([&] { loop->wake(); });
    turn(*loop, -1);
    other.join();
  }
}

TEST_P(WakeTest, WaitEndsWithTheTime) {
  const auto loop = make();
  for (const int timeout_ms : {0, 1, 20}) {
    // A wait may be cut short by a signal, or by the kernel's late work for a ring of an earlier test: but not each
    // time.
    auto longest = std::chrono::nanoseconds(0);
    for (int attempt = 0; attempt < 10 && longest < std::chrono::milliseconds(timeout_ms); ++attempt) {
      const auto start = std::chrono::steady_clock::now();
      turn(*loop, timeout_ms);
      longest = std::max<std::chrono::nanoseconds>(longest, std::chrono::steady_clock::now() - start);
    }
    EXPECT_GE(longest, std::chrono::milliseconds(timeout_ms));
  }
}

// Ping-pong: each side waits without a limit for the other's step, so one lost wake-up would hang the test.
TEST_P(WakeTest, NoWakeIsLost) {
  const auto left = make();
  const auto right = make();
  std::atomic<std::size_t> step{0};
  const std::size_t steps = iterations(4000);
  std::thread other([&] {
    for (std::size_t mine = 1; mine < steps; mine += 2) {
      while (step.load(std::memory_order_relaxed) != mine) turn(*right, -1);
      step.store(mine + 1, std::memory_order_relaxed);
      left->wake();
    }
  });
  for (std::size_t mine = 0; mine < steps; mine += 2) {
    while (step.load(std::memory_order_relaxed) != mine) turn(*left, -1);
    step.store(mine + 1, std::memory_order_relaxed);
    right->wake();
  }
  other.join();
}

// What is published before wake() is visible after the wait() that it ends: plain memory, checked by ThreadSanitizer.
TEST_P(WakeTest, PublishesWhatWasWrittenBefore) {
  const auto loop = make();
  int plain = 0;
  std::atomic<bool> woken{false};
  std::thread other([&] {
    plain = 42;
    loop->wake();
    woken.store(true, std::memory_order_relaxed);
  });
  while (!woken.load(std::memory_order_relaxed)) turn(*loop, 50);  // the first may be cut short by something else
  turn(*loop);
  EXPECT_EQ(plain, 42);
  other.join();
}

TEST_P(WakeTest, MadeOnOneThreadRunOnAnother) {
  const auto loop = make();
  auto [ours, theirs] = ends();
  Recorder stream(*loop);
  loop->attach(stream, std::move(ours));
  peer_write(theirs, "x");
  std::thread owner([&] {
    run_until(*loop, [&] { return stream.received == 1; });
    close_and_forget(stream);
  });
  owner.join();
}

bool readable(int fd) {
  pollfd look{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&look, 1, 0) == 1;
}

TEST(Wakeup, WritesOnlyToASleeper) {
  Wakeup wakeup;
  EXPECT_FALSE(wakeup.signalled());
  wakeup.signal();
  EXPECT_TRUE(wakeup.signalled());
  EXPECT_FALSE(readable(wakeup.fd()));
  EXPECT_FALSE(wakeup.begin_sleep());
  wakeup.end_sleep();
  EXPECT_FALSE(wakeup.signalled());
  EXPECT_TRUE(wakeup.begin_sleep());
  wakeup.signal();
  wakeup.signal();
  std::uint64_t writes = 0;
  ASSERT_EQ(::read(wakeup.fd(), &writes, sizeof(writes)), static_cast<ssize_t>(sizeof(writes)));
  EXPECT_EQ(writes, 1u);
}

}  // namespace
}  // namespace pelikan::net
