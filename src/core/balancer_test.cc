// What is moved for which loads.
#include "core/balancer.h"

#include <gtest/gtest.h>

#include <vector>

namespace pelikan::core {
namespace {

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kElapsed = 500 * kMs;

std::optional<Balancer::Advice> tick(Balancer& balancer, std::vector<std::uint64_t> used_ms) {
  for (auto& used : used_ms) used *= kMs;
  return balancer.tick(used_ms, kElapsed);
}

TEST(Balancer, LooksFirstThenMovesHalfOfTheDifference) {
  Balancer balancer(100);
  auto advice = tick(balancer, {400, 100});
  ASSERT_TRUE(advice.has_value());
  EXPECT_EQ(advice->from, 0u);
  EXPECT_EQ(advice->sessions_max, 0u);
  advice = tick(balancer, {400, 100});
  ASSERT_TRUE(advice.has_value());
  EXPECT_EQ(advice->from, 0u);
  EXPECT_EQ(advice->to, 1u);
  EXPECT_DOUBLE_EQ(advice->share, 0.375);  // 400 - 150 = 100 + 150
  EXPECT_EQ(advice->sessions_max, 50u);    // in half a second
}

TEST(Balancer, ChoosesTheBusiestAndTheIdlest) {
  Balancer balancer(100);
  static_cast<void>(tick(balancer, {100, 50, 300, 200}));
  const auto advice = tick(balancer, {100, 50, 300, 200});
  ASSERT_TRUE(advice.has_value());
  EXPECT_EQ(advice->from, 2u);
  EXPECT_EQ(advice->to, 1u);
}

TEST(Balancer, LeavesAloneWhatIsBalancedOrIdle) {
  Balancer balancer(100);
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(tick(balancer, {400, 345}).has_value());  // 14 % less
    EXPECT_FALSE(tick(balancer, {20, 0}).has_value());     // 4 % of a core
    EXPECT_FALSE(tick(balancer, {0, 0}).has_value());
    EXPECT_FALSE(tick(balancer, {500}).has_value());
  }
}

// Once is chance; and when another worker has become the busiest, its sessions must be looked at first.
TEST(Balancer, MovesOnlyWhenTheSameWorkerStaysTheBusiest) {
  Balancer balancer(100);
  EXPECT_EQ(tick(balancer, {400, 100})->sessions_max, 0u);
  EXPECT_FALSE(tick(balancer, {300, 300}).has_value());
  EXPECT_EQ(tick(balancer, {400, 100})->sessions_max, 0u);
  EXPECT_EQ(tick(balancer, {100, 400})->sessions_max, 0u);
  EXPECT_EQ(tick(balancer, {100, 400})->sessions_max, 50u);
}

TEST(Balancer, CanBeSwitchedOff) {
  Balancer balancer(0);
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(tick(balancer, {400, 0}).has_value());
}

// What a tick earns may be less than a whole move.
TEST(Balancer, OneMovePerSecondIsOneInTwoTicks) {
  Balancer balancer(1);
  static_cast<void>(tick(balancer, {400, 0}));
  for (int second = 0; second < 5; ++second) {
    EXPECT_EQ(tick(balancer, {400, 0})->sessions_max, 1u);
    EXPECT_EQ(tick(balancer, {400, 0})->sessions_max, 0u);
  }
}

}  // namespace
}  // namespace pelikan::core
