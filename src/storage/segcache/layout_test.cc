// The stored forms: what is packed comes out again, exactly; expiries are checked for every TTL up to two days and
// around each power of two above.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

#include "storage/segcache/item.h"
#include "storage/segcache/options.h"

namespace pelikan::storage::segcache {
namespace {

TEST(Slot, KeepsItsFields) {
  const Slot slot = Slot::make(0xABC, 0x1234567F, 0xFEDCBA, 4 * 0xFFFFF);
  EXPECT_EQ(slot.tag(), 0xABCu);
  EXPECT_EQ(slot.generation(), 0x7Fu);
  EXPECT_EQ(slot.segment(), 0xFEDCBAu);
  EXPECT_EQ(slot.offset(), 4u * 0xFFFFF);
}

TEST(Slot, IsNeverEmptyWhenInUse) {
  EXPECT_EQ(Slot::tag_of(0), 1u);
  EXPECT_EQ(Slot::tag_of(~std::uint64_t{0}), 0xFFFu);
  EXPECT_FALSE(Slot::make(Slot::tag_of(0), 0, 0, 0).empty());
}

TEST(Bucket, FindsTheSlotsWithATag) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 10'000; ++round) {
    const std::uint32_t tags[] = {0, 1, 0xFFF, static_cast<std::uint32_t>(random() & 0xFFF)};
    Bucket bucket;
    bucket.link = static_cast<std::uint32_t>(random());
    bucket.version = tags[random() % 4] << 20 | static_cast<std::uint32_t>(random() & 0xFFFFF);
    const std::uint32_t wanted = tags[random() % 4];
    std::uint32_t expected = 0;
    for (std::size_t i = 0; i < kBucketSlots; ++i) {
      const std::uint32_t tag = tags[random() % 4];
      bucket.slots[i].set({std::uint64_t{tag} << 52 | random() >> 12});
      if (tag == wanted) expected |= 1U << i;
    }
    ASSERT_EQ(bucket.with_tag(wanted), expected);
  }
}

// Base and deadline as a segment sees them: written `age` seconds after the segment was opened.
void check_expiry(std::uint32_t base, std::uint32_t age, std::uint32_t ttl) {
  const std::uint32_t now = base + age;
  const std::uint32_t deadline = now + ttl;
  const unsigned ttl_class = deadline_class(deadline, now);
  const unsigned shift = expiry_shift(ttl_class);
  const auto code = encode_expiry(deadline, base, shift);
  ASSERT_TRUE(code.has_value()) << "age " << age << " ttl " << ttl;
  ASSERT_LT(*code, kExpiryNever);
  const std::uint32_t stored = decode_expiry(*code, base, shift);
  ASSERT_GE(stored, deadline) << "early: base " << base << " age " << age << " ttl " << ttl;
  if (ttl < (1U << 17)) {
    ASSERT_EQ(stored, deadline) << "base " << base << " age " << age << " ttl " << ttl;
  } else {
    ASSERT_LT(std::uint64_t{stored - deadline} * 1000, ttl) << "base " << base << " age " << age << " ttl " << ttl;
  }
  // Moving it to a segment opened later changes nothing.
  const std::uint32_t later = now + ttl / 2;
  const auto moved = encode_expiry(stored, later, shift);
  ASSERT_TRUE(moved.has_value());
  ASSERT_EQ(decode_expiry(*moved, later, shift), stored);
}

TEST(Expiry, IsExactToTheSecondForTwoDaysAndNeverEarly) {
  for (std::uint32_t ttl = 1; ttl <= 2 * 86'400; ++ttl) {
    for (const std::uint32_t base : {2U, 77'777U, 1'000'000'001U}) {
      for (const std::uint32_t age : {0U, 1U, 1000U, 86'400U}) check_expiry(base, age, ttl);
    }
    if (HasFatalFailure()) return;
  }
}

TEST(Expiry, IsWithinAThousandthForLongerTtls) {
  std::mt19937 engine(1);
  const auto random = [&] { return static_cast<std::uint32_t>(engine()); };
  for (unsigned power = 17; power < 31; ++power) {
    for (int i = 0; i < 2000; ++i) {
      const std::uint32_t low = 1U << power;
      const std::uint32_t ttl = i < 3 ? low + static_cast<std::uint32_t>(i) : low + random() % low;
      check_expiry(2 + random() % 100'000, random() % 50'000, ttl);
    }
    if (HasFatalFailure()) return;
  }
}

TEST(Expiry, NeverIsNeverAndTheFarFutureDoesNotWrap) {
  for (unsigned ttl_class = 0; ttl_class < kTtlClasses; ++ttl_class) {
    const unsigned shift = expiry_shift(ttl_class);
    EXPECT_EQ(encode_expiry(kNever, 5, shift), kExpiryNever);
    EXPECT_EQ(decode_expiry(kExpiryNever, 5, shift), kNever);
  }
  const auto code = encode_expiry(kNever - 1, 5, expiry_shift(kLongestClass));
  ASSERT_TRUE(code.has_value());
  EXPECT_EQ(decode_expiry(*code, 5, expiry_shift(kLongestClass)), kNever - 1);
  EXPECT_FALSE(encode_expiry(1U << 18, 0, 0).has_value());
}

TEST(TtlClass, HoldsAFactorOfTwo) {
  EXPECT_EQ(ttl_class(1), 0u);
  EXPECT_EQ(ttl_class(15), 0u);
  EXPECT_EQ(ttl_class(16), 1u);
  EXPECT_EQ(ttl_class(86'400), 13u);
  EXPECT_EQ(ttl_class(0xFFFFFFFF), kLongestClass);
  for (std::uint32_t ttl = 16; ttl < (1U << 20); ++ttl) {
    const unsigned c = ttl_class(ttl);
    ASSERT_TRUE(ttl >> (c + 3) == 1) << ttl;
  }
}

TEST(Item, KeepsItsFields) {
  alignas(4) char memory[512];
  for (const std::uint32_t flags : {0U, 1U, 0xFFFFFFFFU}) {
    for (const std::size_t key_bytes : {std::size_t{0}, std::size_t{1}, std::size_t{250}, kKeyBytesMax}) {
      const std::string key(key_bytes, 'k');
      auto* item = new (memory) ItemHeader(key_bytes, 10, flags != 0, 12345);
      item->fill(flags, key, "hello", "world");
      item->set_heat(0x3FFF);
      EXPECT_EQ(item->key(), key);
      EXPECT_EQ(item->value(), "helloworld");
      EXPECT_EQ(item->flags(), flags);
      EXPECT_EQ(item->expiry_code(), 12345u);
      EXPECT_EQ(item->heat(), 0x3FFFu);
      EXPECT_FALSE(item->dead());
      alignas(4) char other[512];
      const ItemHeader& copy = item->copy_to(other, 777, 5);
      EXPECT_EQ(copy.expiry_code(), 777u);
      EXPECT_EQ(copy.heat(), 5u);
      EXPECT_EQ(copy.key(), key);
      EXPECT_EQ(copy.value(), "helloworld");
      EXPECT_EQ(copy.flags(), flags);
      item->set_expiry_code(kExpiryNever, flags == 0);
      EXPECT_TRUE(item->mark_dead(false));
      EXPECT_TRUE(item->dead());
      EXPECT_EQ(item->expiry_code(), kExpiryNever);
      EXPECT_EQ(item->heat(), 0x3FFFu);
      EXPECT_EQ(item->value_bytes(), 10u);
      EXPECT_EQ(item->total_bytes(), item_bytes(key_bytes, 10, flags != 0));
    }
  }
  EXPECT_EQ(item_bytes(1, 0, false), 12u);
  EXPECT_EQ(item_bytes(0, 13, true), 28u);
}

TEST(Item, OfALargeOneTheHeadIsInTheSegmentAndTheValueIsNot) {
  alignas(4) char memory[512];
  alignas(4) char other[512];
  const std::string block(5'000'000, 'v');
  const LargeValue value{
      .data = block.data(), .bytes = static_cast<std::uint32_t>(block.size()), .lent = kSlotSegmentsMax - 1};
  for (const std::uint32_t flags : {0U, 77U}) {
    for (const std::size_t key_bytes : {std::size_t{0}, std::size_t{1}, kKeyBytesMax}) {
      const std::string key(key_bytes, 'k');
      auto* item = new (memory) ItemHeader(key_bytes, ItemHeader::kLarge, flags != 0, 12345);
      item->fill(flags, key, value.stored(), {});
      const ItemHeader& copy = item->copy_to(other, 777, 5);
      for (const ItemHeader* each : {static_cast<const ItemHeader*>(item), &copy}) {
        EXPECT_TRUE(each->large());
        EXPECT_EQ(each->key(), key);
        EXPECT_EQ(each->flags(), flags);
        EXPECT_EQ(each->value().data(), block.data());
        EXPECT_EQ(each->value_bytes(), block.size());
        EXPECT_EQ(each->large_value().lent, kSlotSegmentsMax - 1);
        EXPECT_EQ(each->total_bytes(), item_bytes(key_bytes, sizeof(LargeValue), flags != 0));
      }
      for (const bool shared : {false, true}) {
        EXPECT_TRUE(item->mark_dead(shared));
        EXPECT_FALSE(item->mark_dead(shared)) << "it is decided once who owns the block";
        item = new (memory) ItemHeader(key_bytes, ItemHeader::kLarge, flags != 0, 12345);
        item->fill(flags, key, value.stored(), {});
      }
    }
  }
}

TEST(Heat, CountsAtMostOncePerSecondAndSaturates) {
  const auto always = [] { return 0U; };
  const auto never = [] { return 1U; };
  Heat heat = heat_after_hit(0, 5, always);
  EXPECT_EQ(heat_hits(heat), 1u);
  EXPECT_EQ(heat_hits(heat_after_hit(heat, 5, always)), 1u);
  for (std::uint32_t second = 6; second < 6 + 16; ++second) heat = heat_after_hit(heat, second, never);
  EXPECT_EQ(heat_hits(heat), 17u);
  EXPECT_EQ(heat_hits(heat_after_hit(heat, 100, never)), 17u);
  for (std::uint32_t second = 100; second < 1100; ++second) heat = heat_after_hit(heat, second, always);
  EXPECT_EQ(heat_hits(heat), kHitsMax);
  EXPECT_LT(heat, 1U << kHeatBits);
}

TEST(Heat, OfRoundsCountsToFifteenAndKeepsTheState) {
  Heat heat = heat_of_state(14);
  for (std::uint32_t hits = 0; hits < 40; ++hits) {
    EXPECT_EQ(heat_hits(heat), std::min(hits, kRoundHitsMax));
    EXPECT_EQ(heat_state(heat), 14u);
    heat = heat_after_hit(heat);
  }
  EXPECT_LT(heat, 1U << kHeatBits);
}

TEST(Geometry, ChoosesSegmentsAndRefusesWhatCannotWork) {
  struct Row {
    std::uint64_t heap, segment;
    std::uint64_t segment_bytes, segments;  // 0 = refused
  };
  constexpr std::uint64_t kKb = config::kKiB;
  constexpr std::uint64_t kMb = config::kMiB;
  for (const Row& row : {Row{1024 * kMb, 0, kMb, 1024}, Row{256 * kMb, 0, kMb, 256}, Row{64 * kMb, 0, 256 * kKb, 256},
                         Row{kMb, 0, 8 * kKb, 128}, Row{64 * kKb, 0, 8 * kKb, 8}, Row{3 * kMb, kMb, kMb, 3},
                         Row{kMb, 10'001, 10'000, 104}, Row{8 * kMb, 4 * kMb, 0, 0}, Row{kMb, 1024, 0, 0}}) {
    SegOptions options;
    options.heap_size.set(row.heap);
    options.segment_size.set(row.segment);
    if (row.segments == 0) {
      EXPECT_THROW((void)Geometry::from(options), config::Error) << row.heap << ' ' << row.segment;
      continue;
    }
    const Geometry geometry = Geometry::from(options);
    EXPECT_EQ(geometry.segment_bytes, row.segment_bytes);
    EXPECT_EQ(geometry.segments, row.segments);
  }
}

}  // namespace
}  // namespace pelikan::storage::segcache
