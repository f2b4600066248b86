// Values that do not fit a segment: their blocks, and the segments these are paid for with, come and go together; who
// views one keeps it until its next turn; and they weigh what they cost when room is made. model_test and torture_test
// store large values, too.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <cerrno>
#include <string>
#include <thread>

#include "storage/segcache/shared_kit.h"
#include "storage/segcache/whole_value.h"

namespace pelikan::storage::segcache {
namespace {

using Status = WriteResult::Status;
constexpr std::size_t kPage = 4096;

constexpr std::array kPolicies = {"none", "random", "random_fifo", "fifo", "cte", "util", "merge", "seger"};

WriteResult set(SegCache& cache, std::string_view key, std::string_view value, std::uint32_t expire_at = 0) {
  return cache.write(key, [&](const Item*) { return Verdict::store(value, 0, expire_at); });
}

WriteResult append(SegCache& cache, std::string_view key, std::string_view more) {
  return cache.write(key, [&](const Item* item) -> Verdict {
    if (item == nullptr) return Verdict::keep();
    return {Verdict::Kind::kStore, item->value, more, item->flags, item->expire_at};
  });
}

// A cache of one thread, of 64 segments of 8 KB.
std::unique_ptr<SegCache> small_cache(const char* policy) {
  return std::move(make_handles({.eviction = policy, .segments = 64, .segment_bytes = 8 * kKib}, 1, 1).front());
}

// Whether there is memory at that address. (Nothing else is mapped meanwhile.)
bool is_mapped(const char* at) {
  void* page = reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(at) / kPage * kPage);
  return ::msync(page, kPage, MS_ASYNC) == 0 || errno != ENOMEM;
}

TEST(Large, EverySizeAroundASegmentIsStored) {
  const auto cache = small_cache("seger");
  for (std::size_t bytes = 8 * kKib - 40; bytes < 8 * kKib + 40; ++bytes) {
    const std::string value(bytes, static_cast<char>('a' + bytes % 26));
    ASSERT_EQ(set(*cache, "key", value).status, Status::kStored) << bytes;
    ASSERT_EQ(cache->get("key")->value, value) << bytes;
    EXPECT_EQ(cache->stats().large_items, bytes + 8 + 3 > 8 * kKib ? 1u : 0u) << bytes;
  }
  const std::size_t most = cache->stats().value_bytes_max;
  EXPECT_GT(most, 64 * 8 * kKib / 3);
  EXPECT_EQ(set(*cache, "key", std::string(most, 'v')).status, Status::kStored);
  EXPECT_EQ(set(*cache, "key", std::string(most + 1, 'w')).status, Status::kTooLarge);
  EXPECT_EQ(cache->get("key")->value, std::string(most, 'v'));
  cache->check_invariants();
}

// Nothing but the segment of the other item, and perhaps one that is open, is left.
void expect_all_free(const SegCache& cache, const char* why) {
  const Stats stats = cache.stats();
  EXPECT_GE(stats.segments_free, stats.segments - 2) << why;
  EXPECT_EQ(stats.large_items, 0u) << why;
  EXPECT_EQ(stats.large_bytes, 0u) << why;
  cache.check_invariants();
}

TEST(Large, MemoryComesBackWithTheItem) {
  for (const char* policy : kPolicies) {
    const auto cache = small_cache(policy);
    const std::string value(50'000, 'v');
    std::uint32_t now = kTestStartSec;
    const auto store_three = [&](std::uint32_t expire_at) {
      for (const char* key : {"a", "b", "c"}) ASSERT_EQ(set(*cache, key, value, expire_at).status, Status::kStored);
      EXPECT_EQ(cache->stats().large_items, 3u);
      EXPECT_EQ(cache->stats().large_bytes, 150'000u);
      EXPECT_GE(cache->stats().live_bytes, 150'000u);
      EXPECT_LE(cache->stats().segments_free, 64u - 3 * 7 - 1);
    };
    ASSERT_EQ(set(*cache, "other", "small").status, Status::kStored);
    store_three(0);
    const char* block = cache->get("a")->value.data();
    EXPECT_TRUE(is_mapped(block));
    for (const char* key : {"a", "b", "c"}) EXPECT_TRUE(cache->erase(key));
    EXPECT_FALSE(is_mapped(block));
    expect_all_free(*cache, "erased");
    store_three(0);
    for (const char* key : {"a", "b", "c"}) ASSERT_EQ(set(*cache, key, "small").status, Status::kStored);
    expect_all_free(*cache, "replaced");
    store_three(now + 5);
    now += 5;
    EXPECT_FALSE(cache->erase("a") && cache->get("a"));
    cache->turn(time_at(now));
    for (int i = 0; i < 10; ++i) cache->turn(time_at(now));
    expect_all_free(*cache, "expired");
    store_three(0);
    cache->flush();
    for (int i = 0; i < 10; ++i) cache->turn(time_at(now));
    expect_all_free(*cache, "flushed");
  }
}

TEST(Large, TouchMovesTheHeadAndNotTheValue) {
  const auto cache = small_cache("seger");
  ASSERT_EQ(set(*cache, "key", std::string(50'000, 'v')).status, Status::kStored);
  const Item before = *cache->get("key");
  for (const std::uint32_t ttl_sec : {10U, 100'000U, 100U}) {  // another class each time
    ASSERT_TRUE(cache->touch("key", kTestStartSec + ttl_sec));
    const Item after = *cache->get("key");
    EXPECT_EQ(after.value.data(), before.value.data());
    EXPECT_EQ(after.value, std::string(50'000, 'v'));
    EXPECT_EQ(after.expire_at, kTestStartSec + ttl_sec);
    cache->check_invariants();
  }
  EXPECT_TRUE(cache->touch("key", kTestStartSec));
  EXPECT_FALSE(cache->get("key"));
  expect_all_free(*cache, "touched to death");
}

// The largest value there may be leaves room for its next version, which may be made from it.
TEST(Large, TheLargestReplacesAndExtendsItself) {
  for (const char* policy : kPolicies) {
    const auto cache = small_cache(policy);
    const std::size_t most = cache->stats().value_bytes_max;
    for (int i = 0; i < 20; ++i) {
      ASSERT_EQ(set(*cache, "key", std::string(most - 1, 'v')).status, Status::kStored) << policy << i;
      ASSERT_EQ(append(*cache, "key", "w").status, Status::kStored) << policy << i;
      EXPECT_EQ(cache->get("key")->value, std::string(most - 1, 'v') + 'w');
      EXPECT_EQ(append(*cache, "key", "w").status, Status::kTooLarge);
      ASSERT_EQ(set(*cache, "small" + std::to_string(i), std::string(1000, 's')).status, Status::kStored);
    }
    cache->check_invariants();
  }
}

TEST(Large, WithoutEvictionAFullHeapRefusesAndRecovers) {
  const auto cache = small_cache("none");
  const std::string value(20'000, 'v');
  int stored = 0;
  while (set(*cache, name_of(static_cast<std::uint32_t>(stored)), value).status == Status::kStored) ++stored;
  EXPECT_GE(stored, 14);
  EXPECT_EQ(set(*cache, "key0", std::string(20'000, 'w')).status, Status::kNoSpace);
  EXPECT_EQ(cache->get("key0")->value, value);
  for (int i = 0; i < stored; ++i) EXPECT_TRUE(cache->get(name_of(static_cast<std::uint32_t>(i)))) << i;
  cache->check_invariants();
  EXPECT_TRUE(cache->erase("key1"));
  EXPECT_EQ(set(*cache, "key0", std::string(20'000, 'w')).status, Status::kStored);
  EXPECT_EQ(cache->stats().evicted_items, 0u);
  cache->check_invariants();
}

// What was prepared for a write that then wants something else is given back.
TEST(Large, DecideMayChangeItsMind) {
  const auto cache = small_cache("seger");
  ASSERT_EQ(set(*cache, "other", "small").status, Status::kStored);
  const std::string first(50'000, 'v');
  const std::string second(70'000, 'w');
  int calls = 0;
  (void)cache->write("key", [&](const Item*) { return ++calls == 1 ? Verdict::store(first, 0, 0) : Verdict::keep(); });
  EXPECT_EQ(calls, 2);
  expect_all_free(*cache, "kept");
  calls = 0;
  const WriteResult result =
      cache->write("key", [&](const Item*) { return Verdict::store(++calls == 1 ? first : second, 0, 0); });
  EXPECT_EQ(result.status, Status::kStored);
  EXPECT_EQ(cache->get("key")->value, second);
  EXPECT_EQ(cache->stats().large_bytes, second.size());
  cache->check_invariants();
}

#if !defined(__SANITIZE_THREAD__)  // which maps memory of its own at any time
TEST(Large, WithoutMemoryNothingIsLost) {
  const auto cache = small_cache("seger");
  const std::string value(50'000, 'v');
  const std::string next(60'000, 'w');
  ASSERT_EQ(set(*cache, "key", value).status, Status::kStored);
  const std::uint64_t free_before = cache->stats().segments_free;
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_AS, &limit), 0);
  const rlimit nothing{.rlim_cur = 1, .rlim_max = limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_AS, &nothing), 0);
  const WriteResult result = set(*cache, "key", next);
  ASSERT_EQ(::setrlimit(RLIMIT_AS, &limit), 0);
  EXPECT_EQ(result.status, Status::kNoSpace);
  EXPECT_EQ(cache->get("key")->value, value);
  EXPECT_EQ(cache->stats().segments_free, free_before);
  cache->check_invariants();
  EXPECT_EQ(set(*cache, "key", next).status, Status::kStored);
}
#endif

TEST(Large, NoSegmentHasSoManyThatAllGoAtOnce) {
  const auto cache = std::move(make_handles({.eviction = "fifo", .segments = 256, .segment_bytes = 8 * kKib}, 1, 1)[0]);
  const std::string value(9'000, 'v');  // two segments
  for (std::uint32_t i = 0; i < 500; ++i) {
    const std::uint64_t before = cache->stats().evicted_items;
    ASSERT_EQ(set(*cache, name_of(i), value).status, Status::kStored);
    EXPECT_LE(cache->stats().evicted_items - before, 3u) << i;
  }
  EXPECT_GT(cache->stats().evicted_items, 300u);
  EXPECT_GT(cache->stats().large_items, 80u);
}

// Large values that nobody asks for do not drive out small ones that are asked for.
TEST(Large, SegerWeighsWhatTheyCost) {
  constexpr std::uint32_t kSmall = 2'000;
  const auto cache =
      std::move(make_handles({.eviction = "seger", .segments = 256, .segment_bytes = 8 * kKib}, 1, 1)[0]);
  const auto ask = [&] {
    std::uint32_t found = 0;
    for (std::uint32_t i = 0; i < kSmall; ++i) found += cache->get("small" + std::to_string(i)) ? 1 : 0;
    return found;
  };
  for (std::uint32_t i = 0; i < kSmall; ++i) {
    ASSERT_EQ(set(*cache, "small" + std::to_string(i), std::string(100, 's')).status, Status::kStored);
  }
  for (std::uint32_t i = 0; i < 1'000; ++i) {
    if (i % 20 == 0) (void)ask();
    ASSERT_EQ(set(*cache, name_of(i), std::string(40'000, 'l')).status, Status::kStored);
  }
  EXPECT_GE(ask(), kSmall / 100 * 95);
  EXPECT_GT(cache->stats().large_items, 20u);
  cache->check_invariants();
}

TEST(LargeShared, WhoViewsOneKeepsItUntilItsTurn) {
  const auto handles = make_handles(tiny_heap("seger", 2), 1, 2);
  SegCache& writer = *handles[0];
  SegCache& reader = *handles[1];
  for (const auto& handle : handles) handle->turn(time_at(kTestStartSec));
  const std::string value(20'000, 'v');
  for (const bool erases : {true, false}) {
    ASSERT_EQ(set(writer, "key", value).status, Status::kStored);
    const Item viewed = *reader.get("key");
    if (erases) {
      EXPECT_TRUE(writer.erase("key"));
    } else {
      ASSERT_EQ(set(writer, "key", "small").status, Status::kStored);
    }
    for (std::uint32_t i = 0; i < 5; ++i) {
      ASSERT_EQ(set(writer, name_of(i), std::string(3'000, 'w')).status, Status::kStored);
      writer.turn(time_at(kTestStartSec));
    }
    EXPECT_TRUE(is_mapped(viewed.value.data()));
    EXPECT_EQ(viewed.value, value);
    const char* block = viewed.value.data();
    reader.turn(time_at(kTestStartSec));
    writer.flush();
    for (int i = 0; i < 10; ++i) {  // what is due needs a turn of both
      writer.turn(time_at(kTestStartSec));
      reader.turn(time_at(kTestStartSec));
    }
    EXPECT_FALSE(is_mapped(block));
    EXPECT_EQ(writer.stats().large_items, 0u);
  }
  for (const auto& handle : handles) handle->rest();
  writer.check_invariants();
}

// Two threads store values of an eighth of the heap each, all the time: every one of them finds room.
TEST(LargeShared, TwoThreadsFindRoomForAll) {
  constexpr std::uint32_t kKeys = 8;
  constexpr std::uint32_t kWords = 100'000 / 8;
  const std::uint64_t rounds = kSlow ? 300 : 1'000;
  for (const char* policy : kPolicies) {
    if (policy == std::string_view("none")) continue;
    SCOPED_TRACE(policy);
    const auto handles = make_handles({.eviction = policy, .segments = 64, .segment_bytes = 8 * kKib}, 1, 2);
    const auto run = [&](unsigned thread) {
      SegCache& cache = *handles[thread];
      for (std::uint64_t i = 0; i < rounds; ++i) {
        cache.turn(time_at(kTestStartSec));
        const auto key = static_cast<std::uint32_t>((i * 5 + thread) % kKeys);
        const std::string value = make_value({.key = key, .words = kWords, .version = i});
        const WriteResult result =
            cache.write(name_of(key), [&](const Item*) { return Verdict::store(value, flags_of(i), 0); });
        EXPECT_EQ(result.status, Status::kStored) << i;
        for (std::uint32_t other = 0; other < kKeys; ++other) {
          const std::optional<Item> item = cache.get(name_of(other));
          EXPECT_TRUE(!item || is_whole(item->value, other, item->flags));
        }
        if (i % 7 == 0) (void)cache.erase(name_of(key));
        if (i % 50 == 0) cache.flush();
        if (i % 10 == 0) cache.rest();
      }
      cache.rest();
    };
    {
      const std::jthread other([&] { run(1); });
      run(0);
    }
    handles[0]->check_invariants();
    EXPECT_GT(handles[0]->stats().evicted_items, 10u);
  }
}

}  // namespace
}  // namespace pelikan::storage::segcache
