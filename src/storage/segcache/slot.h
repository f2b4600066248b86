// An index slot: where an item is, in 8 bytes. And the bucket they live in, one cache line.
//
//   63       52 51      44 43            20 19           0
//   |  tag 12  |  gen. 8  |  segment 24    |  offset 20  |       offset counts units of 4 bytes; 0 is a free slot
//
// The tag is 12 bits of the key's hash that do not choose the bucket (never 0, so no slot in use is 0). The generation
// is the low byte of the segment's: a slot whose segment has moved on is free too, and nobody needs to clear it when a
// segment is dropped.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace pelikan::storage::segcache {

using SegmentId = std::uint32_t;
inline constexpr SegmentId kNoSegment = 0xFFFFFFFF;

inline constexpr unsigned kSlotOffsetBits = 20;
inline constexpr unsigned kSlotSegmentBits = 24;
inline constexpr unsigned kSlotGenerationBits = 8;
inline constexpr unsigned kSlotTagBits = 12;
static_assert(kSlotOffsetBits + kSlotSegmentBits + kSlotGenerationBits + kSlotTagBits == 64);

inline constexpr std::uint32_t kSlotUnitBytes = 4;
inline constexpr std::uint32_t kSlotOffsetsMax = 1U << kSlotOffsetBits;    // units in a segment
inline constexpr std::uint32_t kSlotSegmentsMax = 1U << kSlotSegmentBits;  // segments in a heap
inline constexpr unsigned kGenerationsInSlot = 1U << kSlotGenerationBits;

struct Slot {
  std::uint64_t bits = 0;

  static constexpr Slot make(std::uint32_t tag, std::uint32_t generation, SegmentId segment,
                             std::uint32_t offset) noexcept {
    return {(std::uint64_t{tag} << 52) | (std::uint64_t{generation & 0xFF} << 44) | (std::uint64_t{segment} << 20) |
            offset / kSlotUnitBytes};
  }
  // The tag of a key with this hash.
  static constexpr std::uint32_t tag_of(std::uint64_t hash) noexcept {
    const auto tag = static_cast<std::uint32_t>(hash >> 52);
    return tag + (tag == 0);
  }

  [[nodiscard]] constexpr bool empty() const noexcept { return bits == 0; }
  [[nodiscard]] constexpr std::uint32_t tag() const noexcept { return static_cast<std::uint32_t>(bits >> 52); }
  [[nodiscard]] constexpr std::uint32_t generation() const noexcept {
    return static_cast<std::uint32_t>(bits >> 44) & 0xFF;
  }
  [[nodiscard]] constexpr SegmentId segment() const noexcept {
    return static_cast<SegmentId>(bits >> 20) & (kSlotSegmentsMax - 1);
  }
  // In bytes from the start of the segment.
  [[nodiscard]] constexpr std::uint32_t offset() const noexcept {
    return (static_cast<std::uint32_t>(bits) & (kSlotOffsetsMax - 1)) * kSlotUnitBytes;
  }
  friend constexpr bool operator==(Slot, Slot) = default;
};
static_assert(sizeof(Slot) == 8);

inline constexpr std::size_t kBucketSlots = 7;

// A slot in the index. A reader that sees it sees the item it points at, too.
class SlotCell {
 public:
  [[nodiscard]] Slot get() const noexcept { return {bits_.load(std::memory_order_acquire)}; }
  void set(Slot slot) noexcept { bits_.store(slot.bits, std::memory_order_release); }

 private:
  std::atomic<std::uint64_t> bits_{0};
};

struct alignas(64) Bucket {
  std::array<SlotCell, kBucketSlots> slots;
  std::atomic<std::uint32_t> link{0};     // overflow bucket number + 1; 0 = the chain ends here
  std::atomic<std::uint32_t> version{0};  // of the chain, in its first bucket; odd: a writer holds it

  // Bit i: slot i had that tag; 0 is the tag of a free slot. Each was looked at at some moment: who uses one reads it
  // again. What is read after this call is newer than what it saw.
  [[nodiscard]] std::uint32_t with_tag(std::uint32_t tag) const noexcept {
    std::uint32_t found = 0;
#if defined(__SSE2__) && !defined(__SANITIZE_THREAD__)
    // All at once. Eight aligned bytes are read whole, as an atomic is; TSan knows nothing of that.
    const auto* words = reinterpret_cast<const float*>(this);
    const auto tags_of = [&](std::size_t slot) {  // the upper halves of four slots, without what is below the tag
      constexpr int kUpperHalves = _MM_SHUFFLE(3, 1, 3, 1);
      const __m128 upper =
          _mm_shuffle_ps(_mm_load_ps(words + 2 * slot), _mm_load_ps(words + 2 * slot + 4), kUpperHalves);
      return _mm_srli_epi32(_mm_castps_si128(upper), 32 - static_cast<int>(kSlotTagBits));
    };
    const __m128i wanted = _mm_set1_epi32(static_cast<int>(tag));
    const auto equal = [&](std::size_t slot) {
      return static_cast<std::uint32_t>(_mm_movemask_ps(_mm_castsi128_ps(_mm_cmpeq_epi32(tags_of(slot), wanted))));
    };
    found = (equal(0) | equal(4) << 4) & ((1U << kBucketSlots) - 1);  // the eighth is `version`
    std::atomic_thread_fence(std::memory_order_acquire);
#else
    for (std::size_t i = 0; i < kBucketSlots; ++i) {
      if (slots[i].get().tag() == tag) found |= 1U << i;
    }
#endif
    return found;
  }
  void clear() noexcept {
    for (SlotCell& slot : slots) slot.set({});
    link.store(0, std::memory_order_relaxed);
  }
};
static_assert(sizeof(Bucket) == 64);

}  // namespace pelikan::storage::segcache
