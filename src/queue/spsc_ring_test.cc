// The ring against a model in one thread, by random operations, and in use between two. Indices start shortly before
// they wrap around, so every test crosses that point.
#include "queue/spsc_ring.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <thread>

namespace pelikan {
namespace {

constexpr std::size_t kIndexMax = std::numeric_limits<std::size_t>::max();

// Two index lines, and one that nobody writes; whatever lies behind the ring starts on a line of its own.
static_assert(sizeof(SpscRing<char>) == 3 * kCacheLineBytes && alignof(SpscRing<char>) == kCacheLineBytes);

std::uint32_t test_seed() {
  const char* given = std::getenv("PELIKAN_TEST_SEED");
  return given != nullptr ? static_cast<std::uint32_t>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
}

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

TEST(SpscRing, StagedItemsAppearTogether) {
  SpscRing<int> ring(4);
  EXPECT_TRUE(ring.stage(1));
  EXPECT_TRUE(ring.stage(2));
  EXPECT_TRUE(ring.empty());
  EXPECT_FALSE(ring.pop().has_value());
  ring.publish();
  EXPECT_FALSE(ring.empty());
  EXPECT_EQ(ring.pop(), 1);
  EXPECT_TRUE(ring.stage(3));
  EXPECT_EQ(ring.pop(), 2);
  EXPECT_TRUE(ring.empty());
  EXPECT_TRUE(ring.push(4)) << "publishes what was staged before, too";
  EXPECT_EQ(ring.pop(), 3);
  EXPECT_EQ(ring.pop(), 4);
  ring.publish();
  EXPECT_TRUE(ring.empty()) << "nothing was staged";
}

TEST(SpscRing, SlotsOfABatchComeBackAfterItsLastItem) {
  SpscRing<int> ring(2);
  EXPECT_TRUE(ring.push(1));
  EXPECT_TRUE(ring.push(2));
  int calls = 0;
  EXPECT_EQ(ring.consume(2,
                         [&](int) {
                           ++calls;
                           EXPECT_FALSE(ring.stage(3));
                         }),
            2U);
  EXPECT_EQ(calls, 2);
  EXPECT_TRUE(ring.stage(3));
}

TEST(SpscRing, WhatWasTakenLeavesNothingInItsSlot) {
  SpscRing<std::shared_ptr<int>> ring(2);
  const auto item = std::make_shared<int>(1);
  EXPECT_TRUE(ring.push(std::shared_ptr<int>(item)));
  EXPECT_EQ(ring.consume(1, [](const auto& /*not moved from*/) {}), 1U);
  EXPECT_TRUE(ring.push(std::shared_ptr<int>(item)));
  EXPECT_TRUE(ring.pop().has_value());
  EXPECT_EQ(item.use_count(), 1);
}

TEST(SpscRing, CapacityIsAPowerOfTwo) {
  EXPECT_EQ(SpscRing<int>(1).capacity(), 1U);
  EXPECT_DEATH(SpscRing<int>(0), "CHECK");
  EXPECT_DEATH(SpscRing<int>(3), "CHECK");
}

// What the ring must be: a bounded queue, part of it not published yet.
class Model {
 public:
  Model(std::size_t capacity, std::size_t first_index, std::uint32_t seed)
      : capacity_(capacity), ring_(capacity, first_index), random_(seed) {}

  void act() {
    switch (random_() % 6) {
      case 0: return stage_some();
      case 1: return publish();
      case 2: return push();
      case 3: return consume();
      case 4: return pop();
      default: EXPECT_EQ(ring_.empty(), published_.empty()); return;
    }
  }
  [[nodiscard]] std::uint64_t pushed() const { return next_; }

 private:
  bool full() const { return published_.size() + staged_.size() == capacity_; }
  void stage_some() {
    for (auto count = random_() % (capacity_ + 2); count > 0; --count) {
      const bool was_full = full();
      auto item = std::make_unique<std::uint64_t>(next_);
      ASSERT_EQ(ring_.stage(std::move(item)), !was_full);
      ASSERT_EQ(item != nullptr, was_full);
      if (!was_full) staged_.push_back(next_++);
    }
  }
  void publish() {
    ring_.publish();
    published_.insert(published_.end(), staged_.begin(), staged_.end());
    staged_.clear();
  }
  void push() {
    const bool was_full = full();
    ASSERT_EQ(ring_.push(std::make_unique<std::uint64_t>(next_)), !was_full);
    if (was_full) return;
    staged_.push_back(next_++);
    publish();
  }
  void consume() {
    const std::size_t max = random_() % (capacity_ + 2);
    const std::size_t expected = std::min(max, published_.size());
    const std::size_t count = ring_.consume(max, [&](std::unique_ptr<std::uint64_t>&& item) {
      ASSERT_EQ(*item, published_.front());
      published_.pop_front();
    });
    ASSERT_EQ(count, expected);
  }
  void pop() {
    const auto item = ring_.pop();
    ASSERT_EQ(item.has_value(), !published_.empty());
    if (!item) return;
    ASSERT_EQ(**item, published_.front());
    published_.pop_front();
  }

  const std::size_t capacity_;
  SpscRing<std::unique_ptr<std::uint64_t>> ring_;
  std::mt19937 random_;
  std::uint64_t next_ = 0;
  std::deque<std::uint64_t> staged_;
  std::deque<std::uint64_t> published_;
};

TEST(SpscRing, BehavesAsItsModel) {
  const std::uint32_t seed = test_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  for (const std::size_t capacity : {1UZ, 2UZ, 4UZ, 64UZ}) {
    for (const std::size_t first_index : {std::size_t{0}, kIndexMax - 70, kIndexMax}) {
      SCOPED_TRACE("capacity " + std::to_string(capacity) + " from index " + std::to_string(first_index));
      Model model(capacity, first_index, seed);
      for (int step = 0; step < 5000 && !::testing::Test::HasFatalFailure(); ++step) model.act();
      EXPECT_GT(model.pushed(), 100U) << "crosses the end of the indices";
    }
  }
}

// Two threads, batches of random sizes, items that can only be moved: every item arrives once, in order.
TEST(SpscRing, KeepsOrderAcrossThreads) {
  const std::uint32_t seed = test_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  for (const std::size_t capacity : {1UZ, 2UZ, 64UZ}) {
    const std::uint64_t total = 3000 * capacity + 1000;
    SpscRing<std::unique_ptr<std::uint64_t>> ring(capacity, kIndexMax - 500);
    std::jthread producer([&] {
      std::mt19937 random(seed);
      for (std::uint64_t next = 0; next < total;) {
        for (auto batch = random() % 20; batch > 0 && next < total; --batch) {
          if (!ring.stage(std::make_unique<std::uint64_t>(next))) break;
          ++next;
        }
        ring.publish();
        if (random() % 4 == 0) std::this_thread::yield();
      }
    });
    std::mt19937 random(seed + 1);
    std::uint64_t expected = 0;
    std::uint64_t wrong = 0;
    while (expected < total) {
      const auto check = [&](std::unique_ptr<std::uint64_t>&& item) { wrong += *item == expected++ ? 0U : 1U; };
      if (ring.consume(random() % 20, check) == 0) std::this_thread::yield();
    }
    EXPECT_EQ(wrong, 0U);
    EXPECT_TRUE(ring.empty());
  }
}

}  // namespace
}  // namespace pelikan
