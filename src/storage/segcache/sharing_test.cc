// Several handles on one storage: what is there stays there while the index grows, and a stuck thread stops nobody.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "storage/segcache/shared_kit.h"
#include "storage/segcache/whole_value.h"

namespace pelikan::storage::segcache {
namespace {

using Status = WriteResult::Status;

// A value that the key alone makes.
Status store(SegCache& cache, std::uint32_t key, std::uint32_t words) {
  const std::string value = make_value({.key = key, .words = words, .version = key});
  return cache.write(name_of(key), [&](const Item*) { return Verdict::store(value, key, 0); }).status;
}

bool shows(const std::optional<Item>& item, std::uint32_t key) {
  return item && item->key == name_of(key) && is_whole(item->value, key, key);
}

constexpr Time kNow = time_at(kTestStartSec);

// Keys that are there are found, however the index grows around them.
TEST(Sharing, NothingIsMissedWhileTheIndexGrows) {
  constexpr std::uint32_t kFixed = 1'000;
  constexpr std::uint32_t kItems = kSlow ? 60'000 : 300'000;
  constexpr unsigned kWriters = 2;
  constexpr unsigned kReaders = 2;
  constexpr unsigned kPerTurn = 64;
  const auto handles = make_handles({.segments = 1'024, .segment_bytes = 64 * kKib}, 1, kWriters + kReaders);
  SegCache& first = *handles.front();
  first.turn(kNow);
  for (std::uint32_t key = 0; key < kFixed; ++key) ASSERT_EQ(store(first, key, 1), Status::kStored);
  first.rest();

  std::atomic<unsigned> writing{kWriters};
  const auto write = [&](unsigned thread) {
    SegCache& cache = *handles[thread];
    std::uint64_t refused = 0;
    for (std::uint32_t n = thread; n < kItems; n += kWriters) {
      if (n / kWriters % kPerTurn == 0) cache.turn(kNow);
      refused += store(cache, kFixed + n, 1) != Status::kStored;
    }
    cache.rest();
    --writing;
    EXPECT_EQ(refused, 0U);
  };
  const auto read = [&](unsigned thread) {
    SegCache& cache = *handles[thread];
    std::uint64_t reads = 0;
    std::uint64_t misses = 0;
    do {
      if (reads % kPerTurn == 0) cache.turn(kNow);
      const auto key = static_cast<std::uint32_t>((reads + thread) % kFixed);
      misses += !shows(cache.get(name_of(key)), key);
      ++reads;
    } while (writing > 0);
    cache.rest();
    EXPECT_EQ(misses, 0U) << "of " << reads;
  };
  {
    std::vector<std::jthread> running;
    for (unsigned thread = 0; thread < kWriters; ++thread) running.emplace_back(write, thread);
    for (unsigned thread = kWriters; thread < kWriters + kReaders; ++thread) running.emplace_back(read, thread);
  }

  first.turn(kNow);
  first.check_invariants();
  std::uint64_t lost = 0;
  for (std::uint32_t key = 0; key < kFixed + kItems; ++key) {
    if (key % kPerTurn == 0) first.turn(kNow);
    lost += !shows(first.get(name_of(key)), key);
  }
  EXPECT_EQ(lost, 0U);
  EXPECT_EQ(first.stats().evicted_items, 0U);
  EXPECT_EQ(first.stats().items, kFixed + kItems);
}

// Threads that add items in the same moment learn late of each other's: the index must not wait until its chains are
// full, when each new item costs another.
TEST(Sharing, NothingIsLostWhileSeveralAddBetweenTurns) {
  constexpr unsigned kHandles = 4;
  constexpr std::uint32_t kEach = 100;
  const auto handles = make_handles({.segments = 256, .segment_bytes = 64 * kKib}, 1, kHandles);
  for (const auto& handle : handles) handle->turn(kNow);
  for (std::uint32_t key = 0; key < kHandles * kEach; ++key) {
    ASSERT_EQ(store(*handles[key % kHandles], key, 1), Status::kStored);
  }
  std::uint32_t lost = 0;
  for (std::uint32_t key = 0; key < kHandles * kEach; ++key) {
    lost += !shows(handles.front()->get(name_of(key)), key);
  }
  EXPECT_EQ(lost, 0U);
}

// How long a call may take while a thread is stuck. A write gives up after a tenth of a second; the rest is for slow
// machines.
class Stopwatch {
 public:
  void start() { start_ = Clock::now(); }
  void stop() { longest_ = std::max(longest_, Clock::now() - start_); }
  void expect_no_hang() const { EXPECT_LT(longest_, std::chrono::seconds(2)); }

 private:
  using Clock = std::chrono::steady_clock;

  Clock::time_point start_;
  Clock::duration longest_{};
};

// One thread has a view and neither turns nor rests. Nothing may be written over that it sees, so room runs out; but
// nobody hangs, readers go on, and after its next turn there is room again.
// With large segments, too: one of those has many items to wait for, and they must not each be waited for.
class StuckThread : public testing::TestWithParam<std::uint64_t> {
 protected:
  static constexpr unsigned kWriters = 2;
  static constexpr unsigned kPerTurn = 16;
  static constexpr std::uint32_t kWords = 60;
  static constexpr std::uint64_t kItemBytes = 500;

  // Fills the heap over and over, until it was refused a few times.
  void write(unsigned thread) {
    SegCache& cache = *handles_[thread];
    Stopwatch stopwatch;
    std::uint32_t stored = 0;
    unsigned refused = 0;
    for (std::uint32_t n = 0; n < items_ && refused < 3; ++n) {
      stopwatch.start();
      if (n % kPerTurn == 0) cache.turn(kNow);
      const Status status = store(cache, 1 + n * kWriters + thread, kWords);
      stopwatch.stop();
      stored += status == Status::kStored;
      refused += status == Status::kNoSpace;
    }
    cache.rest();
    --writing_;
    stored_ += stored;
    stopwatch.expect_no_hang();
    EXPECT_TRUE(refused == 3 || stored + refused == items_);
  }

  void read(unsigned thread) {
    SegCache& cache = *handles_[thread];
    Stopwatch stopwatch;
    std::uint64_t broken = 0;
    std::uint32_t n = 0;
    do {
      const std::uint32_t key = n % items_;
      stopwatch.start();
      if (n % kPerTurn == 0) cache.turn(kNow);
      const std::optional<Item> item = cache.get(name_of(key));
      stopwatch.stop();
      broken += item && !shows(item, key);
      ++n;
    } while (writing_ > 0);
    cache.rest();
    stopwatch.expect_no_hang();
    EXPECT_EQ(broken, 0U);
  }

  static Heap heap() {
    Heap heap = tiny_heap("seger", kWriters + 2);
    heap.segment_bytes = GetParam();
    return heap;
  }

  const std::uint32_t items_ = static_cast<std::uint32_t>(4 * heap().segments * heap().segment_bytes / kItemBytes);
  std::vector<std::unique_ptr<SegCache>> handles_ = make_handles(heap(), 1, kWriters + 2);
  std::atomic<unsigned> writing_{kWriters};
  std::atomic<std::uint64_t> stored_{0};
};

INSTANTIATE_TEST_SUITE_P(SegmentBytes, StuckThread, testing::Values(Geometry::kSegmentBytesMin, 64 * kKib));

TEST_P(StuckThread, StopsNobody) {
  constexpr std::uint32_t kHeld = 0;
  SegCache& stuck = *handles_[0];
  stuck.turn(kNow);
  ASSERT_EQ(store(stuck, kHeld, kWords), Status::kStored);
  stuck.turn(kNow);
  const std::optional<Item> held = stuck.get(name_of(kHeld));
  ASSERT_TRUE(held);
  {
    std::vector<std::jthread> running;
    for (unsigned thread = 1; thread <= kWriters; ++thread) running.emplace_back([this, thread] { write(thread); });
    running.emplace_back([this] { read(kWriters + 1); });
  }
  EXPECT_TRUE(shows(held, kHeld));
  EXPECT_GT(stored_, 0U);

  stuck.turn(kNow);
  stuck.rest();
  SegCache& writer = *handles_[1];
  for (std::uint32_t key = 1; key <= items_; ++key) {
    if (key % kPerTurn == 1) writer.turn(kNow);
    ASSERT_EQ(store(writer, key, kWords), Status::kStored) << key;
  }
  writer.rest();
  stuck.turn(kNow);
  EXPECT_TRUE(shows(stuck.get(name_of(items_)), items_));
  stuck.check_invariants();
}

}  // namespace
}  // namespace pelikan::storage::segcache
