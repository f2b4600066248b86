// What each eviction policy promises, on heaps small enough that the victim is known. Segments hold four items of the
// test's usual size; the model and segcache_test see to it that no policy breaks the storage.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "storage/segcache/policies/ghost.h"
#include "storage/segcache/policies/seger.h"
#include "storage/segcache/segcache.h"

namespace pelikan::storage::segcache {
namespace {

constexpr std::uint64_t kKb = config::kKiB;

Time at(std::uint32_t second) { return {.floor_sec = second, .ceil_sec = second, .unix_sec = 0, .mono_ns = 0}; }

class Cache : public SegCache {
 public:
  Cache(const char* policy, std::uint64_t heap_bytes) : SegCache(options(policy, heap_bytes), KeyHash(1), at(1)) {}

  void put(const std::string& key, std::size_t value_bytes = 900, std::uint32_t expire_at = 0) {
    const std::string value(value_bytes, 'v');
    const auto result = write(key, [&](const Item*) { return Verdict::store(value, 0, expire_at); });
    ASSERT_EQ(result.status, WriteResult::Status::kStored);
  }
  [[nodiscard]] bool has(const std::string& key) { return peek(key).has_value(); }
  // Which of "first0", "first1", ... are there, by number.
  [[nodiscard]] std::vector<int> left(const std::string& first, int count) {
    std::vector<int> numbers;
    for (int i = 0; i < count; ++i) {
      if (has(first + std::to_string(i))) numbers.push_back(i);
    }
    return numbers;
  }

 private:
  static SegOptions& options(const char* policy, std::uint64_t heap_bytes) {
    static SegOptions options;
    options.eviction.set(policy);
    options.heap_size.set(heap_bytes);
    options.segment_size.set(4 * kKb);
    options.hash_power.set(3);
    return options;
  }
};

std::string name(const char* what, int n) { return what + std::to_string(n); }

TEST(Fifo, DropsTheOldest) {
  Cache cache("fifo", 20 * kKb);
  for (int i = 0; i < 16; ++i) cache.put(name("k", i));
  for (int i = 0; i < 4; ++i) (void)cache.get(name("k", i));
  cache.put("next");
  EXPECT_EQ(cache.left("k", 8), (std::vector<int>{4, 5, 6, 7}));
}

TEST(Cte, DropsWhatIsClosestToExpiry) {
  Cache cache("cte", 24 * kKb);
  for (const std::uint32_t ttl : {1000U, 40U, 400U, 2000U}) {
    for (int i = 0; i < 4; ++i) cache.put(name(("t" + std::to_string(ttl) + ".").c_str(), i), 900, 1 + ttl);
  }
  for (const std::uint32_t ttl : {40U, 2000U}) cache.put("seals" + std::to_string(ttl), 3900, 1 + ttl);
  EXPECT_TRUE(cache.left("t40.", 4).empty());
  EXPECT_EQ(cache.left("t2000.", 4).size(), 4u);
}

TEST(Cte, OfEqualsDropsTheOldest) {
  Cache cache("cte", 20 * kKb);
  for (int i = 0; i < 40; ++i) cache.put(name("k", i));
  EXPECT_TRUE(cache.left("k", 20).empty());
  EXPECT_TRUE(cache.has("k39"));
}

TEST(Util, DropsTheLeastLiveBytes) {
  Cache cache("util", 24 * kKb);
  for (int i = 0; i < 20; ++i) cache.put(name("k", i));
  EXPECT_TRUE(cache.erase("k9"));
  cache.put("next");
  EXPECT_EQ(cache.left("k", 20), (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 12, 13, 14, 15, 16, 17, 18, 19}));
}

// Each sealed segment goes sooner or later, and not always the same one.
TEST(RandomSegment, DropsAny) {
  int first_survived = 0;
  constexpr int kRuns = 40;
  for (int run = 0; run < kRuns; ++run) {
    Cache cache("random", 40 * kKb);
    for (int i = 0; i < 36 + run; ++i) cache.put(name("k", i));
    for (int i = 0; i < 8; ++i) cache.put(name("n", i));
    first_survived += cache.has("k0");
  }
  EXPECT_GT(first_survived, 0);
  EXPECT_LT(first_survived, kRuns);
}

TEST(RandomFifo, DropsTheOldestOfAClass) {
  Cache cache("random_fifo", 48 * kKb);
  for (int i = 0; i < 200; ++i) {
    cache.put(name("never", i));
    cache.put(name("hour", i), 900, 3601);
  }
  for (const char* what : {"never", "hour"}) {
    const std::vector<int> left = cache.left(what, 200);
    ASSERT_FALSE(left.empty());
    EXPECT_EQ(left.back() - left.front() + 1, static_cast<int>(left.size())) << what << ": a gap";
    EXPECT_EQ(left.back(), 199);
  }
}

TEST(Ghost, RemembersTheLastAndForgetsWhatWasTaken) {
  Ghost ghost(64 << 20);
  EXPECT_EQ(ghost.bytes(), 64u);
  std::mt19937_64 random(1);
  std::vector<std::uint64_t> hashes(32'000);
  for (auto& hash : hashes) {
    hash = random();
    ghost.grow(8000, 1);
    ghost.add(hash);
  }
  EXPECT_EQ(ghost.bytes(), 2u * 8000);
  std::size_t recent = 0;
  std::size_t old = 0;
  for (std::size_t i = 0; i < 4000; ++i) {
    recent += ghost.take(hashes[hashes.size() - 1 - i]);
    old += ghost.take(hashes[i]);
  }
  EXPECT_GT(recent, 3950u);  // lines fill unevenly
  EXPECT_LT(old, 8u);        // one in 2048 is a mistake
  std::size_t again = 0;
  for (std::size_t i = 0; i < 4000; ++i) again += ghost.take(hashes[hashes.size() - 1 - i]);
  EXPECT_LT(again, 16u);
}

TEST(Ghost, NeverOutgrowsItsReserve) {
  Ghost ghost(4096);
  for (int i = 0; i < 1000; ++i) ghost.grow(1'000'000, 1);
  EXPECT_LE(ghost.bytes(), 4096u / 8 + 64);
  ghost.add(7);
  EXPECT_TRUE(ghost.take(7));
}

TEST(Seger, States) {
  const std::vector<std::pair<std::uint32_t, std::uint32_t>> small = {{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 4},
                                                                      {5, 5}, {8, 5}, {9, 6}, {15, 6}};
  for (const auto& [hits, state] : small) EXPECT_EQ(Seger::state_after_small(hits), state) << hits;
  const struct {
    std::uint32_t state, hits, after;
  } rows[] = {
      {0, 0, 8},    // sent by the ghost table, not asked for: half a hit
      {1, 0, 7},    // nothing, again
      {7, 0, 7},    //
      {8, 0, 7},    // a quarter is nothing
      {7, 1, 8},    //
      {2, 1, 9},    // one hit each time
      {14, 0, 12},  // 12 -> 6
      {12, 0, 10},  // 5 -> 2.5
      {10, 0, 9},   // 2 -> 1
      {14, 15, 14}, {7, 15, 12},
  };
  for (const auto& row : rows) EXPECT_EQ(Seger::state_after_main(row.state, row.hits), row.after) << row.state;
  for (std::uint32_t state = 0; state < Seger::kStates; ++state) {
    for (std::uint32_t hits = 0; hits <= kRoundHitsMax; ++hits) {
      EXPECT_GE(Seger::state_after_main(state, hits), 7u);
      EXPECT_LT(Seger::state_after_main(state, hits), Seger::kStates);
    }
  }
}

// A stream of items that nobody asks for, among them some that are asked for now and then: these stay. Of two that are
// asked for equally, the small one does.
TEST(Seger, KeepsWhatIsAskedForPerByte) {
  Cache cache("seger", 192 * kKb);
  std::uint32_t hot = 0;
  std::uint32_t hot_large = 0;
  for (int i = 0; i < 60'000; ++i) {
    cache.put(name("once", i), 100);
    if (i % 20 != 0) continue;
    for (const int n : {i / 20 % 100, (i / 20 + 50) % 100}) {
      for (const std::size_t bytes : {100UL, 1500UL}) {
        const std::string key = name(bytes == 100 ? "hot" : "large", n);
        const bool hit = cache.get(key).has_value();
        if (!hit) cache.put(key, bytes);
        if (i > 30'000) (bytes == 100 ? hot : hot_large) += hit;
      }
    }
  }
  EXPECT_GT(hot, 2400u);  // of 3000
  EXPECT_LT(hot_large, 1200u);
  cache.check_invariants();
}

// What left the small queue and is stored again soon is not put to the test a second time.
TEST(Seger, AKeyThatCameBackSoonGoesToMain) {
  Cache cache("seger", 512 * kKb);
  for (int i = 0; i < 20'000; ++i) cache.put(name("once", i), 100);
  int oldest = 20'000;
  while (cache.has(name("once", oldest - 1))) --oldest;
  ASSERT_LT(oldest, 19'990);
  ASSERT_GT(cache.stats().policy_bytes, 512u);
  const std::string back = name("once", oldest - 10);
  const std::string stranger = "stranger";
  ASSERT_FALSE(cache.has(back));
  cache.put(back, 100);
  cache.put(stranger, 100);
  int stranger_gone = 0;
  while (cache.has(stranger)) cache.put(name("more", stranger_gone++), 100);
  EXPECT_TRUE(cache.has(back));
}

// An item that is written over and over keeps its place and what is known of it.
TEST(Seger, ANewVersionInheritsFromTheOld) {
  Cache cache("seger", 512 * kKb);
  cache.put("asked", 100);
  for (int i = 0; i < 5; ++i) (void)cache.get("asked");
  cache.put("asked", 90);
  cache.put("not asked", 100);
  cache.put("not asked", 90);
  int i = 0;
  while (cache.has("not asked")) cache.put(name("once", i++), 100);
  EXPECT_TRUE(cache.has("asked"));
}

}  // namespace
}  // namespace pelikan::storage::segcache
