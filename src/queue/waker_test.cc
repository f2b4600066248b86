// Sleeping and waking. What would hang when a wake-up is lost is bounded by the test's time limit, not by a sleep.
#include "queue/waker.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>
#include <vector>

#include "queue/spsc_ring.h"

namespace pelikan {
namespace {

using std::chrono::steady_clock;

TEST(SleepState, OnlyTheFirstSignalToASleeperWakesIt) {
  SleepState state;
  EXPECT_FALSE(state.signal()) << "awake";
  EXPECT_FALSE(state.begin_sleep()) << "signalled";
  EXPECT_TRUE(state.end_sleep());
  EXPECT_FALSE(state.end_sleep());
  EXPECT_TRUE(state.begin_sleep());
  EXPECT_TRUE(state.signal());
  EXPECT_FALSE(state.signal()) << "another signal is unseen";
  EXPECT_TRUE(state.end_sleep());
  EXPECT_TRUE(state.begin_sleep());
  EXPECT_FALSE(state.end_sleep()) << "the time was over";
}

TEST(Waker, RemembersASignalThatCameBefore) {
  Waker waker;
  waker.signal();
  waker.signal();
  EXPECT_TRUE(waker.wait(-1)) << "would wait for ever";
  EXPECT_FALSE(waker.wait(0)) << "both were seen";
  waker.signal();
  EXPECT_TRUE(waker.wait(0));
}

TEST(Waker, WaitsForTheTimeGiven) {
  Waker waker;
  for (const int timeout_ms : {0, 1, 30, 1010}) {
    const auto start = steady_clock::now();
    EXPECT_FALSE(waker.wait(timeout_ms));
    EXPECT_GE(steady_clock::now() - start, std::chrono::milliseconds(timeout_ms));
  }
}

TEST(Waker, ASignalEndsAWaitBeforeItsTime) {
  Waker waker;
  for (int i = 0; i < 100; ++i) {
    std::jthread other([&] { waker.signal(); });
    EXPECT_TRUE(waker.wait(3'600'000));
  }
}

// A signal handler interrupts the system call again and again; the wait goes on.
TEST(Waker, InterruptionsNeitherEndNorProlongAWait) {
  struct sigaction action{};
  action.sa_handler = [](int) {};
  ASSERT_EQ(::sigaction(SIGUSR1, &action, nullptr), 0);
  Waker waker;
  std::atomic<bool> done{false};
  const pthread_t sleeper = ::pthread_self();
  const auto start = steady_clock::now();
  {
    std::jthread pest([&] {
      while (!done.load()) {
        ::pthread_kill(sleeper, SIGUSR1);
        std::this_thread::yield();
      }
    });
    EXPECT_FALSE(waker.wait(100));
    done = true;
  }
  EXPECT_GE(steady_clock::now() - start, std::chrono::milliseconds(100));
  EXPECT_LT(steady_clock::now() - start, std::chrono::seconds(20));
}

// Plain memory, checked by ThreadSanitizer.
TEST(Waker, WhatWasWrittenBeforeASignalIsSeenAfterTheWait) {
  Waker waker;
  int plain = 0;
  std::jthread other([&] {
    plain = 42;
    waker.signal();
  });
  EXPECT_TRUE(waker.wait(-1));
  EXPECT_EQ(plain, 42);
}

// Ping-pong: each side waits without a limit for the other's step, so one lost wake-up would hang the test.
TEST(Waker, NoSignalIsLost) {
  constexpr int kSteps = 200'000;
  Waker left;
  Waker right;
  std::atomic<int> step{0};
  const auto play = [&](int first, Waker& mine, Waker& other) {
    for (int next = first; next < kSteps; next += 2) {
      while (step.load(std::memory_order_relaxed) != next) mine.wait(-1);
      step.store(next + 1, std::memory_order_relaxed);
      other.signal();
    }
  };
  std::jthread right_side([&] { play(1, right, left); });
  play(0, left, right);
}

// As the storage thread uses them: many producers with a ring each, one sleeper that takes bounded batches. Producers
// whose ring is full wait for their own waker.
TEST(Waker, ManyProducersOneSleeper) {
  constexpr std::size_t kProducers = 4;
  constexpr int kItems = 20'000;
  struct Pair {
    SpscRing<int> ring{8};
    Waker room;
  };
  std::array<Pair, kProducers> pairs;
  Waker work;
  std::vector<std::jthread> producers;
  for (auto& pair : pairs) {
    producers.emplace_back([&] {
      for (int next = 0; next < kItems;) {
        const int first = next;
        while (next < kItems && next - first < 5 && pair.ring.stage(int{next})) ++next;
        pair.ring.publish();
        if (next > first) {
          work.signal();
        } else {
          pair.room.wait(-1);
        }
      }
    });
  }
  std::array<int, kProducers> expected{};
  const auto all = [&] { return std::ranges::all_of(expected, [](int count) { return count == kItems; }); };
  int wrong = 0;
  while (!all()) {
    std::size_t taken = 0;
    for (std::size_t i = 0; i < kProducers; ++i) {
      const std::size_t count = pairs[i].ring.consume(3, [&](int item) { wrong += item == expected[i]++ ? 0 : 1; });
      if (count > 0) pairs[i].room.signal();
      taken += count;
    }
    if (taken == 0) work.wait(-1);
  }
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace pelikan
