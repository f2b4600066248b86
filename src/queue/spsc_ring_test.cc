#include "queue/spsc_ring.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>

namespace pelikan {
namespace {

TEST(SpscRing, FullKeepsTheItemWithTheCaller) {
  SpscRing<std::unique_ptr<int>> ring(2);
  EXPECT_TRUE(ring.push(std::make_unique<int>(1)));
  EXPECT_TRUE(ring.push(std::make_unique<int>(2)));
  auto third = std::make_unique<int>(3);
  EXPECT_FALSE(ring.push(std::move(third)));
  ASSERT_NE(third, nullptr);
  EXPECT_EQ(**ring.pop(), 1);
  EXPECT_TRUE(ring.push(std::move(third)));
  EXPECT_EQ(**ring.pop(), 2);
  EXPECT_EQ(**ring.pop(), 3);
  EXPECT_FALSE(ring.pop().has_value());
}

// Two threads, a ring much smaller than the traffic: every item arrives once, in order.
TEST(SpscRing, KeepsOrderAcrossThreads) {
  constexpr int kItems = 200'000;
  SpscRing<int> ring(64);
  std::jthread producer([&] {
    for (int i = 0; i < kItems; ++i) {
      while (!ring.push(int{i})) std::this_thread::yield();
    }
  });
  for (int expected = 0; expected < kItems;) {
    const auto item = ring.pop();
    if (!item) {
      std::this_thread::yield();
      continue;
    }
    ASSERT_EQ(*item, expected++);
  }
}

}  // namespace
}  // namespace pelikan
