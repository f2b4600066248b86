// What the random test cannot aim at: generations coming round, a heap without eviction, memory coming back, sizes at
// their limits.
#include "storage/segcache/segcache.h"

#include <gtest/gtest.h>

#include <span>
#include <string>

#include "metrics/metrics.h"
#include "storage/segcache/index.h"
#include "storage/segcache/store.h"

namespace pelikan::storage::segcache {
namespace {

using Status = WriteResult::Status;
constexpr std::uint64_t kKb = config::kKiB;
constexpr std::uint64_t kMb = config::kMiB;

constexpr const char* kPolicies[] = {"none", "random", "random_fifo", "fifo", "cte", "util", "merge", "seger"};
constexpr std::span kEvictingPolicies = std::span(kPolicies).subspan<1>();

Time at(std::uint32_t second) { return {.floor_sec = second, .ceil_sec = second, .unix_sec = 0, .mono_ns = 0}; }

struct Options : SegOptions {
  Options(const char* policy, std::uint64_t heap, std::uint64_t segment, std::uint64_t power = 3) {
    eviction.set(policy);
    heap_size.set(heap);
    segment_size.set(segment);
    hash_power.set(power);
  }
};

Status set(SegCache& cache, std::string_view key, std::string_view value, std::uint32_t expire_at = 0) {
  return cache.write(key, [&](const Item*) { return Verdict::store(value, 0, expire_at); }).status;
}

std::string number(std::uint64_t n) { return "key" + std::to_string(n); }

// Why the index is swept: after 256 releases the generation in a slot is the segment's again, and a slot that was left
// behind points into the middle of somebody's value.
TEST(Generation, ComesRoundAfter256Releases) {
  Grace grace(1);
  Segments segments(3, 4096, grace);
  const KeyHash hash(1);
  Index index(segments, hash, 1, 1);
  const SegmentId id = segments.open_new(0, 1, 0);
  const Place place = segments.end_of(id);
  new (&segments.item(place)) ItemHeader(1, 0, false, 0);
  segments.item(place).fill(0, "k", {}, {});
  const Slot slot = segments.slot(hash("k"), place);
  ASSERT_TRUE(index.insert(Index::Hold(index, hash("k")), slot));
  ASSERT_FALSE(index.look_up(hash("k"), "k").empty());
  for (int i = 0; i < 256; ++i) {
    segments.release(id);
    EXPECT_EQ(segments.current(slot, segments.epoch()), i == 255) << i;
    SegmentId again = kNoSegment;
    while (again != id) {
      again = segments.open_new(0, 1, 0);
      if (again != id) segments.release(again);
    }
  }
  index.sweep(1);
  EXPECT_FALSE(index.look_up(hash("k"), "k").empty())
      << "a slot that looks current survives a sweep: it must come in time";
}

// Three segments recycled tens of thousands of times, an index so large that slots lie about for long, an item that is
// never recycled. Each stale slot must be gone before its generation returns; check_invariants() sees one that is not.
TEST(Generation, NeverWrapsOntoAStaleSlot) {
  for (const char* policy : kPolicies) {
    SegCache cache(Options(policy, 12 * kKb, 4 * kKb, 16), KeyHash(1), at(1));
    const std::string value(700, 'v');
    std::uint32_t now = 1;
    std::uint64_t key = 0;
    for (int i = 0; i < 30'000; ++i) {
      for (int j = 0; j < 5; ++j) {
        const Status status = set(cache, number(key++), value, now + 1);
        ASSERT_EQ(status, Status::kStored) << policy << ' ' << i;
      }
      cache.turn(at(++now));
      if (i % 1000 == 0) cache.check_invariants();
    }
    cache.check_invariants();
    const Stats stats = cache.stats();
    EXPECT_EQ(stats.stored_items, key);
    EXPECT_LE(stats.items, 15u);
  }
}

TEST(NoEviction, RefusesWhenOnlyLiveItemsAreLeftAndRecovers) {
  SegCache cache(Options("none", 64 * kKb, 8 * kKb), KeyHash(1), at(1));
  const std::string value(500, 'v');
  std::uint64_t stored = 0;
  while (set(cache, number(stored), value) == Status::kStored) ++stored;
  EXPECT_GT(stored * 512, 48 * kKb);
  cache.check_invariants();
  for (std::uint64_t i = 0; i < stored; ++i) EXPECT_TRUE(cache.get(number(i))) << i;
  // The old version survives a refusal.
  EXPECT_EQ(set(cache, number(0), std::string(500, 'w')), Status::kNoSpace);
  EXPECT_EQ(cache.get(number(0))->value, value);
  // Room scattered over all segments is as good as room in one.
  for (std::uint64_t i = 0; i < stored; i += 2) EXPECT_TRUE(cache.erase(number(i)));
  std::uint64_t again = 0;
  while (set(cache, "again" + number(again), value) == Status::kStored) ++again;
  EXPECT_GT(again, stored / 3);
  for (std::uint64_t i = 1; i < stored; i += 2) EXPECT_TRUE(cache.get(number(i))) << i;
  EXPECT_EQ(cache.stats().evicted_items, 0u);
  cache.check_invariants();
}

TEST(Store, OverwritingOneKeyNeverFillsTheHeap) {
  for (const char* policy : kPolicies) {
    SegCache cache(Options(policy, 64 * kKb, 8 * kKb), KeyHash(1), at(1));
    ASSERT_EQ(set(cache, "other", "stays"), Status::kStored);
    for (int i = 0; i < 10'000; ++i) ASSERT_EQ(set(cache, "k", std::string(1000, 'v')), Status::kStored) << policy << i;
    EXPECT_TRUE(cache.get("k"));
    EXPECT_TRUE(cache.get("other")) << policy;
    EXPECT_EQ(cache.stats().items, 2u);
    cache.check_invariants();
  }
}

// The value and the key of an append may lie in a segment that making room for it would otherwise evict.
TEST(Store, AppendsToAnItemWhileEverythingElseIsEvicted) {
  for (const char* policy : kEvictingPolicies) {
    SegCache cache(Options(policy, 12 * kKb, 4 * kKb), KeyHash(1), at(1));
    std::string expected = "x";
    int appended = 0;
    ASSERT_EQ(set(cache, "k", expected), Status::kStored);
    for (int i = 0; i < 900; ++i) {
      bool appends = false;
      const auto result = cache.write("k", [&](const Item* current) {
        appends = current != nullptr && current->value.size() <= 3000;
        if (!appends) return Verdict::store("x", 0, 0);
        Verdict verdict = Verdict::store(current->value, 0, 0);
        verdict.back = "0123456789";
        return verdict;
      });
      expected = appends ? expected + "0123456789" : "x";
      appended += appends;
      ASSERT_EQ(result.status, Status::kStored);
      ASSERT_EQ(cache.get("k")->value, expected) << policy << ' ' << i;
      if (i % 3 != 0) continue;
      ASSERT_EQ(set(cache, number(static_cast<std::uint64_t>(i)), std::string(10, 'f')), Status::kStored);
    }
    EXPECT_GT(appended, 800) << policy;  // what is not may fall to a filler
    cache.check_invariants();
  }
}

// The same with eviction falling on each possible moment: it moves the item and hands its old segment out to be
// written.
class MovesItems : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(All, MovesItems, testing::Values("merge", "seger"));

TEST_P(MovesItems, PrependsWhileTheItemIsMoved) {
  std::string old_value;
  for (int i = 0; i < 1000; ++i) old_value += static_cast<char>('a' + i % 23);
  const std::string head(2500, 'z');
  int appended_while_evicting = 0;
  for (std::uint64_t fillers = 0; fillers < 200; ++fillers) {
    SegCache cache(Options(GetParam(), 32 * kKb, 4 * kKb), KeyHash(1), at(100));
    ASSERT_EQ(set(cache, "k", old_value), Status::kStored);
    for (std::uint64_t i = 0; i < fillers; ++i)
      ASSERT_EQ(set(cache, number(i), std::string(300, 'f')), Status::kStored);
    const std::uint64_t evicted = cache.stats().evicted_items;
    bool found = false;
    const auto result = cache.write("k", [&](const Item* current) {
      found = current != nullptr;
      if (!found) return Verdict::keep();
      Verdict verdict = Verdict::store(head, 0, 0);
      verdict.back = current->value;
      return verdict;
    });
    if (!found) continue;
    ASSERT_EQ(result.status, Status::kStored);
    ASSERT_EQ(cache.get("k")->value, head + old_value) << fillers;
    appended_while_evicting += cache.stats().evicted_items > evicted;
    cache.check_invariants();
  }
  EXPECT_GT(appended_while_evicting, 0);
}

TEST(Expiry, MemoryComesBackWithoutAnyRequest) {
  SegCache cache(Options("none", kMb, 8 * kKb), KeyHash(1), at(1));
  const std::string value(100, 'v');
  for (std::uint64_t i = 0; i < 5000; ++i)
    ASSERT_EQ(set(cache, number(i), value, 2 + static_cast<std::uint32_t>(i % 90)), Status::kStored);
  ASSERT_EQ(set(cache, "stays", value), Status::kStored);
  for (std::uint32_t second = 2; second < 100; ++second) {
    cache.turn(at(second));
    for (int i = 0; i < 20; ++i) cache.turn(at(second));
  }
  const Stats stats = cache.stats();
  EXPECT_EQ(stats.items, 1u);
  EXPECT_EQ(stats.segments - stats.segments_free, 1u);
  EXPECT_EQ(stats.expired_items, 5000u);
  cache.check_invariants();
}

TEST(Expiry, IsExactToTheSecond) {
  SegCache cache(Options("merge", kMb, 8 * kKb), KeyHash(1), at(100));
  for (const std::uint32_t ttl : {1U, 2U, 15U, 16U, 100U, 3600U, 86'400U}) {
    const std::string key = number(ttl);
    ASSERT_EQ(set(cache, key, "v", 100 + ttl), Status::kStored);
  }
  for (const std::uint32_t ttl : {1U, 2U, 15U, 16U, 100U, 3600U, 86'400U}) {
    cache.turn(at(100 + ttl - 1));
    EXPECT_TRUE(cache.peek(number(ttl))) << ttl;
    cache.turn(at(100 + ttl));
    EXPECT_FALSE(cache.peek(number(ttl))) << ttl;
  }
}

TEST(Expiry, ADeadlineThatHasPassedStoresNothing) {
  SegCache cache(Options("merge", kMb, 8 * kKb), KeyHash(1), at(100));
  ASSERT_EQ(set(cache, "k", "old"), Status::kStored);
  EXPECT_EQ(set(cache, "k", "new", 100), Status::kStored);
  EXPECT_FALSE(cache.get("k"));
  EXPECT_EQ(cache.stats().items, 0u);
}

TEST(Touch, ExtendsShortensAndMovesBetweenClasses) {
  SegCache cache(Options("merge", kMb, 8 * kKb), KeyHash(1), at(100));
  ASSERT_EQ(set(cache, "k", "value", 110), Status::kStored);
  for (const std::uint32_t expire_at : {114U, 105U, 90'000U, 4'000'000U, 0U, 200U, 4'000'000'000U, 103U}) {
    ASSERT_TRUE(cache.touch("k", expire_at)) << expire_at;
    const auto item = cache.get("k");
    ASSERT_TRUE(item);
    EXPECT_EQ(item->value, "value");
    EXPECT_GE(item->expire_at, expire_at);
    EXPECT_LE(item->expire_at - expire_at, expire_at / 1000) << expire_at;
    cache.check_invariants();
  }
  cache.turn(at(103));
  EXPECT_FALSE(cache.get("k"));
  EXPECT_FALSE(cache.touch("k", 0));
}

TEST(Flush, TakesAllAndOnlyWhatWasStoredBefore) {
  SegCache cache(Options("fifo", kMb, 8 * kKb), KeyHash(1), at(1));
  const std::string value(100, 'v');
  for (std::uint64_t i = 0; i < 5000; ++i)
    ASSERT_EQ(set(cache, number(i), value, i % 2 == 0 ? 0 : 1000), Status::kStored);
  cache.flush();
  EXPECT_EQ(cache.stats().items, 0u);
  ASSERT_EQ(set(cache, number(7), "new"), Status::kStored);
  EXPECT_FALSE(cache.get(number(8)));
  EXPECT_EQ(cache.get(number(7))->value, "new");
  cache.check_invariants();
  for (int i = 0; i < 20; ++i) cache.turn(at(1));
  EXPECT_EQ(cache.stats().segments_free, cache.stats().segments - 1);
  EXPECT_EQ(cache.get(number(7))->value, "new");
  cache.check_invariants();
}

TEST(Limits, AFullSegmentIsNoLargeItemAndAByteMoreIs) {
  Options options("merge", 256 * kMb, 0);
  options.max_value_size.set(4 * kMb);
  SegCache cache(options, KeyHash(1), at(1));
  EXPECT_TRUE(cache.fits(1, 1'048'516));
  const std::string value(1'048'516, 'v');
  for (int i = 0; i < 3; ++i) ASSERT_EQ(set(cache, "k", value), Status::kStored);
  EXPECT_EQ(cache.get("k")->value, value);
  EXPECT_EQ(set(cache, "l", std::string(kMb - 9, 'l')), Status::kStored);
  EXPECT_EQ(cache.stats().large_items, 0u);
  EXPECT_EQ(set(cache, "l", std::string(kMb - 8, 'm')), Status::kStored);
  EXPECT_EQ(cache.stats().large_items, 1u);
  EXPECT_TRUE(cache.get("l")->value == std::string(kMb - 8, 'm'));
  EXPECT_EQ(set(cache, "l", std::string(4 * kMb, 'n')), Status::kStored);
  EXPECT_TRUE(cache.get("l")->value == std::string(4 * kMb, 'n'));
  EXPECT_FALSE(cache.fits(1, 4 * kMb + 1));
  EXPECT_EQ(set(cache, "l", std::string(4 * kMb + 1, 'w')), Status::kTooLarge);
  EXPECT_TRUE(cache.get("l")->value == std::string(4 * kMb, 'n'));
  EXPECT_EQ(cache.get("k")->value, value);
  cache.check_invariants();
  EXPECT_EQ(set(cache, std::string(256, 'k'), "v"), Status::kTooLarge);
  EXPECT_FALSE(cache.get(std::string(256, 'k')));
  EXPECT_EQ(set(cache, "", "empty"), Status::kStored);
  EXPECT_EQ(cache.get("")->value, "empty");
}

// An index that cannot grow any more gives up the items asked for least, and refuses nothing.
TEST(Index, LosesTheColdestWhenItIsFull) {
  Grace grace(1);
  Segments segments(3, 4096, grace);
  const KeyHash hash(1);
  Index index(segments, hash, 1, 1);
  const SegmentId id = segments.open_new(kNeverClass, 1, 0);
  std::size_t inserted = 0;
  for (std::uint64_t i = 0;; ++i) {
    const std::string key = number(i);
    const auto bytes = static_cast<std::uint32_t>(item_bytes(key.size(), 0, false));
    const Place place = segments.end_of(id);
    auto* item = new (&segments.item(place)) ItemHeader(key.size(), 0, false, kExpiryNever);
    item->fill(0, key, {}, {});
    item->set_heat(i == 13 ? 1 : 2);
    segments.wrote(place, bytes);
    if (!index.insert(Index::Hold(index, hash(key)), segments.slot(hash(key), place))) break;
    ++inserted;
    index.grow(0);
  }
  EXPECT_GE(inserted, kBucketSlots);
  EXPECT_EQ(segments.item(index.coldest(Index::Hold(index, hash("any")))->get()).key(), number(13));
}

TEST(Index, GrowsFromOneBucketAndLosesNothing) {
  SegCache cache(Options("none", 8 * kMb, 64 * kKb), KeyHash(1), at(1));
  for (std::uint64_t i = 0; i < 60'000; ++i) ASSERT_EQ(set(cache, number(i), "v"), Status::kStored);
  for (std::uint64_t i = 0; i < 60'000; ++i) ASSERT_TRUE(cache.peek(number(i))) << i;
  cache.check_invariants();
  const Stats stats = cache.stats();
  EXPECT_LT(stats.index_bytes / stats.items, 20u);
}

// Twelve heaps of items go by. (Not all of the hot ones stay: once they lie together, keeping one part in four drops
// some of them.)
// An item whose TTL was shortened must not lie in a segment that never expires: nobody would reclaim it.
TEST(None, AShortenedTtlGivesItsRoomBack) {
  const Options options("none", 64 * kKb, 8 * kKb);
  SegCache cache(options, KeyHash(1), at(1));
  const std::string value(3000, 'v');
  for (std::uint64_t n = 0; n < 6; ++n) EXPECT_EQ(set(cache, number(n), value), Status::kStored);
  for (std::uint64_t n = 0; n < 6; ++n) EXPECT_TRUE(cache.touch(number(n), 3));
  for (std::uint32_t second = 2; second < 6; ++second) cache.turn(at(second));
  EXPECT_EQ(cache.stats().items, 0U);
  for (std::uint64_t n = 0; n < 12; ++n) EXPECT_EQ(set(cache, number(100 + n), value), Status::kStored) << n;
  cache.check_invariants();
}

// What could not be joined before may be joined once another segment is sealed, though nothing died in between.
TEST(None, LooksForRoomAgainWhenASegmentIsSealed) {
  const Options options("none", 32 * kKb, 8 * kKb);
  SegCache cache(options, KeyHash(1), at(1));
  const auto put = [&](const char* key, std::size_t bytes, std::uint32_t expire_at) {
    return set(cache, key, std::string(bytes, 'v'), expire_at);
  };
  EXPECT_EQ(put("a1", 4500, 0), Status::kStored);
  EXPECT_EQ(put("a2", 2000, 0), Status::kStored);
  EXPECT_EQ(put("b", 3500, 0), Status::kStored);
  EXPECT_EQ(put("c", 2400, 5001), Status::kStored);
  EXPECT_TRUE(cache.erase("a2"));
  EXPECT_EQ(put("d", 6500, 5001), Status::kNoSpace);
  EXPECT_EQ(put("e", 6500, 0), Status::kStored);
  EXPECT_EQ(put("g", 100, 0), Status::kStored);
  cache.check_invariants();
}

TEST(Merge, KeepsWhatIsAskedForAndDoesNotExtendItsTtl) {
  SegCache cache(Options("merge", kMb, 8 * kKb), KeyHash(1), at(1));
  const std::string value(100, 'v');
  std::uint32_t now = 1;
  for (std::uint64_t i = 0; now < 1000; ++i) {
    if (i % 20 == 0 && i < 1000) {
      ASSERT_EQ(set(cache, "hot" + number(i / 20), value, 1001), Status::kStored);
    }
    ASSERT_EQ(set(cache, number(i), value, now + 1000), Status::kStored);
    if (i % 100 != 0) continue;
    cache.turn(at(++now));
    for (std::uint64_t k = 0; k < 50; ++k) (void)cache.get("hot" + number(k));
  }
  std::uint64_t hot_kept = 0;
  std::uint64_t cold_kept = 0;
  for (std::uint64_t i = 0; i < 50; ++i) {
    hot_kept += cache.get("hot" + number(i)).has_value();
    cold_kept += cache.get(number(20 * i)).has_value();
  }
  EXPECT_GT(hot_kept, 10u);
  EXPECT_EQ(cold_kept, 0u);
  cache.turn(at(1001));
  for (std::uint64_t i = 0; i < 50; ++i) EXPECT_FALSE(cache.get("hot" + number(i)));
  cache.check_invariants();
}

// One or two segments in each class: no run to merge anywhere, hardly a sealed segment, yet nothing is refused.
TEST(Store, FindsSomethingToEvictWhenClassesAreSparse) {
  for (const char* policy : kEvictingPolicies) {
    for (const std::uint64_t heap : {12 * kKb, 64 * kKb}) {
      SegCache cache(Options(policy, heap, 4 * kKb), KeyHash(1), at(1));
      const std::string value(900, 'v');
      for (std::uint64_t i = 0; i < 5000; ++i) {
        const std::uint32_t ttl = 1U << (4 + i % 20);
        ASSERT_EQ(set(cache, number(i), value, 1 + ttl), Status::kStored) << policy;
        ASSERT_TRUE(cache.get(number(i))) << policy;
      }
      cache.check_invariants();
    }
  }
}

TEST(Metrics, AreCurrentAfterATurn) {
  SegCache cache(Options("fifo", kMb, 8 * kKb), KeyHash(1), at(1));
  const std::int64_t items_before = metrics::snapshot().value("item_current");
  ASSERT_EQ(set(cache, "a", "1"), Status::kStored);
  ASSERT_EQ(set(cache, "b", "22"), Status::kStored);
  ASSERT_EQ(set(cache, "b", "333"), Status::kStored);
  cache.turn(at(1));
  const metrics::Snapshot after = metrics::snapshot();
  EXPECT_EQ(after.value("item_current") - items_before, 2);
  EXPECT_EQ(after.value("item_dead"), 1);
  EXPECT_EQ(after.value("item_dead_bytes"), 12);
  EXPECT_EQ(after.value("segment_current"), 1);
}

TEST(FitInto, HeapIndexAndSegmentHeadersStayWithinTheBytes) {
  for (const std::uint64_t bytes : {kMb, 3 * kMb + 12345, 100 * kMb, 5 * config::kGiB}) {
    for (const std::uint64_t segment : {std::uint64_t{0}, 4 * kKb, 64 * kKb}) {
      SCOPED_TRACE(std::to_string(bytes) + " in segments of " + std::to_string(segment));
      SegOptions options;
      if (segment != 0) options.segment_size.set(segment);
      options.fit_into(bytes);
      const Geometry geometry = Geometry::from(options);
      const std::uint64_t taken = geometry.heap_bytes() + geometry.segments * sizeof(SegmentHeader);
      EXPECT_LE(taken + options.index_bytes_max / 4 * 5, bytes);
      EXPECT_GE(geometry.heap_bytes(), bytes / 100 * 80);
      EXPECT_GE(options.index_bytes_max, bytes / 100 * 9);
    }
  }
}

TEST(FitInto, AHeapThatIsSetStaysAndTheIndexHasTheRest) {
  SegOptions options;
  options.heap_size.set(64 * kMb);
  options.fit_into(100 * kMb);
  EXPECT_EQ(options.heap_size(), 64 * kMb);
  EXPECT_GE(options.index_bytes_max, 28 * kMb);
  EXPECT_LE(options.index_bytes_max, 29 * kMb);
  EXPECT_THROW(options.fit_into(64 * kMb), config::Error);
  EXPECT_THROW(options.fit_into(kMb), config::Error);
}

TEST(FitInto, TheIndexKeepsItsBoundAndNoStoreIsRefused) {
  SegOptions options;
  options.hash_power.set(20);  // as a start this would be 8 MB
  options.fit_into(16 * kMb);
  SegCache cache(options, KeyHash(1), at(1));
  constexpr std::uint64_t kItems = 600'000;  // of 20 bytes: more than the index has slots
  for (std::uint64_t i = 0; i < kItems; ++i) ASSERT_EQ(set(cache, number(i), "v"), Status::kStored) << i;
  const Stats stats = cache.stats();
  EXPECT_LE(stats.index_bytes, options.index_bytes_max + 2 * kMb);  // two regions, in steps of a megabyte
  EXPECT_GT(stats.index_bytes, options.index_bytes_max / 2);
  EXPECT_GT(stats.items, options.index_bytes_max / 11);
  EXPECT_TRUE(cache.get(number(kItems - 1)));
  cache.check_invariants();
}

// The whole heap and an index of an eighth of it; with memory for more items than that, the index still grows.
TEST(Prefault, HeapAndIndexAreThereAtTheStartAndCountedOnce) {
  const auto metric = [](const char* name) { return static_cast<std::uint64_t>(metrics::snapshot().value(name)); };
  Options options("none", 16 * kMb, 64 * kKb);
  {
    const SegCache lazy(options, KeyHash(1), at(1));
    EXPECT_EQ(lazy.stats().prefault_bytes, 0U);
    EXPECT_LT(metric("heap_bytes") + metric("hash_bytes"), 64 * kKb);
  }
  options.prefault.set(true);
  SegCache cache(options, KeyHash(1), at(1));
  EXPECT_EQ(metric("heap_bytes"), 16 * kMb);
  const std::uint64_t index_bytes = metric("hash_bytes");
  EXPECT_GE(index_bytes, 2 * kMb);
  EXPECT_LE(index_bytes, 2 * kMb);
  EXPECT_EQ(cache.stats().prefault_bytes, 16 * kMb + index_bytes);
  std::uint64_t items = 0;
  for (; set(cache, number(items), "v") == Status::kStored; ++items) {
    if (items % 1000 == 0) cache.turn(at(1));
    if (items == 40'000) {
      EXPECT_EQ(metric("hash_bytes"), index_bytes);
    }
  }
  cache.turn(at(1));
  EXPECT_GT(items, 600'000U);
  EXPECT_EQ(metric("heap_bytes"), 16 * kMb);
  EXPECT_GT(metric("hash_bytes"), index_bytes);
  cache.check_invariants();
}

TEST(Prefault, MakesNoMoreOfTheIndexThanItMayBecome) {
  SegOptions options;
  options.prefault.set(true);
  options.hash_power.set(3);
  options.fit_into(64 * kMb);
  const SegCache cache(options, KeyHash(1), at(1));
  const Stats stats = cache.stats();
  EXPECT_GE(stats.prefault_bytes, stats.heap_bytes + options.index_bytes_max);
  EXPECT_LE(stats.prefault_bytes, stats.heap_bytes + options.index_bytes_max + 3 * kMb);  // three regions
}

TEST(Settings, BadCombinationsThrowOneLine) {
  EXPECT_THROW(SegCache(Options("merge", 8 * kMb, 4 * kMb), KeyHash(1), at(1)), config::Error);
  EXPECT_THROW(SegCache(Options("merge", 64 * config::kTiB, 4 * kKb), KeyHash(1), at(1)), config::Error);
}

}  // namespace
}  // namespace pelikan::storage::segcache
