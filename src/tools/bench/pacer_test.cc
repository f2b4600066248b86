// The intended times of an open loop, with a clock made of numbers: they are those of a Poisson process, they do not
// depend on when they are asked for, and what a stalled target holds back is counted from when it was intended.
#include "tools/bench/pacer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <deque>
#include <vector>

#include "tools/bench/tally.h"

namespace pelikan::tools::bench {
namespace {

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kBegin = 77 * kSecond;

std::vector<std::uint64_t> all_times(Pacer& pacer) {
  std::vector<std::uint64_t> times;
  while (pacer.next_ns() != Pacer::kNever) times.push_back(pacer.take(pacer.next_ns()));
  return times;
}

TEST(Pacer, IsAPoissonProcess) {
  constexpr double kRate = 100'000;
  Pacer pacer(kRate, 42);
  pacer.start(kBegin, kBegin + 2 * kSecond);
  const std::vector<std::uint64_t> times = all_times(pacer);
  const double count = static_cast<double>(times.size());
  EXPECT_NEAR(count, 2 * kRate, 5 * std::sqrt(2 * kRate));
  EXPECT_GE(times.front(), kBegin);
  EXPECT_LT(times.back(), kBegin + 2 * kSecond);
  double squares = 0;
  int long_gaps = 0;  // longer than twice the mean
  for (std::size_t i = 1; i < times.size(); ++i) {
    ASSERT_GE(times[i], times[i - 1]);
    const double gap = static_cast<double>(times[i] - times[i - 1]) * kRate / 1e9;
    squares += gap * gap;
    if (gap > 2) ++long_gaps;
  }
  EXPECT_NEAR(squares / count, 2, 0.1);  // of an exponential distribution; 1 if they were even
  EXPECT_NEAR(long_gaps / count, std::exp(-2), 0.005);
}

TEST(Pacer, FollowsFromTheSeedAlone) {
  const auto times = [](std::uint64_t seed, std::uint64_t end_ns) {
    Pacer pacer(1000, seed);
    pacer.start(kBegin, end_ns);
    return all_times(pacer);
  };
  EXPECT_EQ(times(1, kBegin + kSecond), times(1, kBegin + kSecond));
  EXPECT_NE(times(1, kBegin + kSecond), times(2, kBegin + kSecond));
  EXPECT_TRUE(times(1, kBegin).empty());
}

TEST(Pacer, TheSecondOfAWeekIsStillExact) {
  Pacer pacer(0.1, 3);
  pacer.start(kBegin, kBegin + 7 * 24 * 3600 * kSecond);
  EXPECT_NEAR(static_cast<double>(all_times(pacer).size()), 60'480, 5 * std::sqrt(60'480));
}

// A target that answers at once but stands still from 1.0 s to 2.0 s, and a client with `room` requests under way that
// looks every 0.1 ms.
struct Stalled {
  explicit Stalled(std::size_t room) {
    constexpr std::uint64_t kStall = kBegin + kSecond, kStallEnd = kBegin + 2 * kSecond;
    pacer.start(kBegin, kBegin + 3 * kSecond);
    std::deque<std::uint64_t> under_way;
    for (std::uint64_t now = kBegin; pacer.next_ns() != Pacer::kNever || !under_way.empty(); now += kMs / 10) {
      const bool answers = now < kStall || now >= kStallEnd;
      for (; answers && !under_way.empty(); under_way.pop_front()) answered(now - under_way.front());
      while (pacer.due(now)) {
        if (under_way.size() == room) {
          pacer.hold();
          break;
        }
        under_way.push_back(pacer.take(now));
      }
    }
  }
  void answered(std::uint64_t latency_ns) {
    tally.answered(1, latency_ns);
    if (latency_ns > kMs) ++slow;
    if (latency_ns > kSecond / 2) ++very_slow;
  }
  Pacer pacer{10'000, 5};
  Tally tally;
  std::uint64_t slow = 0, very_slow = 0;
};

TEST(Pacer, NothingIsOmittedWhileTheTargetStalls) {
  // However few may be under way: all 10,000 requests of the stalled second have waited, half of them for more than
  // half of it; and with few under way those that came while it caught up.
  for (const std::size_t room : {2u, 8u, 100'000u}) {
    SCOPED_TRACE("room " + std::to_string(room));
    const Stalled run(room);
    EXPECT_EQ(run.tally.requests, run.pacer.counts().sent);
    EXPECT_NEAR(static_cast<double>(run.tally.requests), 30'000, 900);
    EXPECT_GE(run.slow, 9'500u);
    EXPECT_GE(run.very_slow, 4'500u);
    EXPECT_GE(run.tally.latency_max_us(), 999'000);
    EXPECT_EQ(run.pacer.counts().late, 0u) << "the target was late, not the client";
    if (room > 10'100)
      EXPECT_EQ(run.pacer.counts().held, 0u);
    else
      EXPECT_GT(run.pacer.counts().held, 9'000u);
  }
}

TEST(Pacer, ItsOwnDelayIsCounted) {
  Pacer pacer(1000, 9);
  pacer.start(kBegin, kBegin + kSecond);
  const std::uint64_t first = pacer.next_ns();
  EXPECT_FALSE(pacer.due(first - 1));
  EXPECT_EQ(pacer.take(first + PaceCounts::kLateNs), first);
  EXPECT_EQ(pacer.counts().late, 0u);
  const std::uint64_t second = pacer.next_ns();
  EXPECT_EQ(pacer.take(second + 3 * kMs), second);
  EXPECT_EQ(pacer.counts().late, 1u);
  EXPECT_EQ(pacer.counts().lag_max_ns, 3 * kMs);
  EXPECT_EQ(pacer.counts().held, 0u);
  EXPECT_EQ(pacer.counts().sent, 2u);
  EXPECT_EQ(pacer.counts().last_sent_ns, second + 3 * kMs - kBegin);
}

TEST(Pacer, WhatIsNotSentIsCounted) {
  Pacer pacer(1000, 11);
  pacer.start(kBegin, kBegin + 10 * kSecond);
  while (pacer.due(kBegin + 4 * kSecond)) pacer.take(kBegin + 4 * kSecond);
  pacer.stop();
  EXPECT_EQ(pacer.next_ns(), Pacer::kNever);
  EXPECT_NEAR(static_cast<double>(pacer.counts().never_sent), 6000, 2);
  pacer.stop();
  EXPECT_NEAR(static_cast<double>(pacer.counts().never_sent), 6000, 2);
}

}  // namespace
}  // namespace pelikan::tools::bench
