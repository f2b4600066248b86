// The heap: fixed-size segments that items are appended to, the free ones in a queue, those in use in one chain per TTL
// class and queue of the eviction policy.
//
//            open_new()              seal()                    release()
//   kFree ───────────────▶ kOpen ──────────────▶ kSealed ──────────────────▶ kFree
//     │                      └───────────── release() ─────────────────────────▲
//     └─────────────── take_target() ───────────────▶ kSealed (being filled by eviction)
//   There is no way back from kSealed to kOpen: nothing is ever written behind the end of a sealed segment.
//
// A chain is in the order of writing: its head is the oldest, an open segment is its tail. flush() moves all chains to
// one list of flushed segments, in constant time; their `epoch` tells whoever meets them that they are gone.
// Owner: Store. Threads: one.
// Invariant: live_items() and the other totals are those of the segments in chains; flushed and free segments count
//            nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "storage/segcache/item.h"
#include "storage/segcache/region.h"
#include "storage/segcache/slot.h"
#include "storage/segcache/ttl.h"

namespace pelikan::storage::segcache {

enum class SegmentState : std::uint8_t { kFree, kOpen, kSealed };

// Policies that need no second queue use the main one.
enum class Queue : std::uint8_t { kMain, kSmall };
inline constexpr unsigned kQueues = 2;
inline constexpr unsigned kChains = kQueues * kTtlClasses;

[[nodiscard]] constexpr unsigned chain_of(Queue queue, unsigned ttl_class) noexcept {
  return static_cast<unsigned>(queue) * kTtlClasses + ttl_class;
}

inline constexpr std::uint32_t kNotQueued = 0xFFFFFFFF;

// One cache line per segment, so that a lookup reads one line of it.
struct alignas(64) SegmentHeader {
  std::uint64_t sequence = 0;      // names this filling of the segment for ever; part of every CAS token
  std::uint32_t generation = 0;    // how often it was released; slots carry the low byte
  std::uint32_t epoch = 0;         // of flushes
  std::uint32_t base_sec = 0;      // expiries count from here
  std::uint32_t created_sec = 0;   // when its oldest items were first written
  std::uint32_t max_deadline = 0;  // no item lives longer
  std::uint32_t write_offset = 0;
  std::uint32_t items = 0;  // written, dead ones included
  std::uint32_t live_items = 0;
  std::uint32_t live_bytes = 0;
  SegmentId prev = kNoSegment;
  SegmentId next = kNoSegment;
  std::uint32_t queue_place = kNotQueued;  // in the expiry queue
  std::uint32_t sweep = 0;                 // during which sweep of the index `reuses` was counted
  std::uint8_t reuses = 0;
  std::uint8_t chain = 0;
  SegmentState state = SegmentState::kFree;
  std::uint8_t shift = 0;  // of the class: the grain of its expiries

  [[nodiscard]] Queue queue() const noexcept { return static_cast<Queue>(chain / kTtlClasses); }
  [[nodiscard]] unsigned ttl_class() const noexcept { return chain % kTtlClasses; }
};
static_assert(sizeof(SegmentHeader) == 64);

// Where an item is.
struct Place {
  SegmentId segment = kNoSegment;
  std::uint32_t offset = 0;
};
[[nodiscard]] constexpr Place place_of(Slot slot) noexcept { return {slot.segment(), slot.offset()}; }

struct SegmentList {
  SegmentId head = kNoSegment;
  SegmentId tail = kNoSegment;
};

class Segments {
 public:
  Segments(std::uint32_t segments, std::uint32_t segment_bytes);

  [[nodiscard]] std::uint32_t count() const noexcept { return static_cast<std::uint32_t>(headers_.size()); }
  [[nodiscard]] std::uint32_t free_count() const noexcept { return free_count_; }
  [[nodiscard]] std::uint32_t segment_bytes() const noexcept { return segment_bytes_; }

  // Of the segments that were ever used: what the heap takes of the machine's memory.
  [[nodiscard]] std::uint64_t touched_bytes() const noexcept {
    return heap_.real_bytes(std::size_t{touched_} * segment_bytes_);
  }

  [[nodiscard]] SegmentHeader& header(SegmentId id) noexcept { return headers_[id]; }
  [[nodiscard]] const SegmentHeader& header(SegmentId id) const noexcept { return headers_[id]; }
  [[nodiscard]] ItemHeader& item(Place place) const noexcept {
    return *reinterpret_cast<ItemHeader*>(heap_.data() + std::size_t{place.segment} * segment_bytes_ + place.offset);
  }
  [[nodiscard]] ItemHeader& item(Slot slot) const noexcept { return item(Place{slot.segment(), slot.offset()}); }
  // Hints to the CPU: header and first lines of the item, and its segment's header.
  void prefetch(Slot slot) const noexcept {
    const char* at = reinterpret_cast<const char*>(&item(slot));
    __builtin_prefetch(at);
    __builtin_prefetch(at + 64);
    __builtin_prefetch(&headers_[slot.segment()]);
  }
  // The segment this address is in, or kNoSegment.
  [[nodiscard]] SegmentId segment_of(const char* address) const noexcept {
    if (!heap_.contains(address)) return kNoSegment;
    return static_cast<SegmentId>(static_cast<std::size_t>(address - heap_.data()) / segment_bytes_);
  }

  // In a chain: neither free nor flushed.
  [[nodiscard]] bool in_use(const SegmentHeader& header) const noexcept {
    return header.state != SegmentState::kFree && header.epoch == epoch_;
  }
  // The slot points at an item, dead marks and expiry aside.
  [[nodiscard]] bool current(Slot slot) const noexcept {
    const SegmentHeader& at = headers_[slot.segment()];
    return slot.generation() == (at.generation & 0xFF) && at.epoch == epoch_;
  }
  [[nodiscard]] std::uint32_t deadline(Place place) const noexcept {
    const SegmentHeader& at = headers_[place.segment];
    return decode_expiry(item(place).expiry_code(), at.base_sec, at.shift);
  }
  [[nodiscard]] Slot slot(std::uint64_t hash, Place place) const noexcept {
    return Slot::make(Slot::tag_of(hash), headers_[place.segment].generation, place.segment, place.offset);
  }
  // Never 0: sequences count from 1.
  [[nodiscard]] std::uint64_t cas_token(Place place) const noexcept {
    return (headers_[place.segment].sequence << kSlotOffsetBits) | (place.offset / kSlotUnitBytes);
  }

  [[nodiscard]] const SegmentList& chain(unsigned chain) const noexcept { return chains_[chain]; }
  // The segment of the chain that takes new items, or kNoSegment.
  [[nodiscard]] SegmentId open_segment(unsigned chain) const noexcept;
  // Segments in the chains of a queue.
  [[nodiscard]] std::uint32_t queued(Queue queue) const noexcept { return queued_[static_cast<unsigned>(queue)]; }
  [[nodiscard]] SegmentId flushed_head() const noexcept { return flushed_.head; }

  // REQUIRES of both: free_count() > 0. The second stands in the chain before `before`, as old as that one, and is
  // sealed.
  SegmentId open_new(unsigned chain, std::uint32_t now_sec) noexcept;
  SegmentId take_target(SegmentId before, std::uint32_t now_sec) noexcept;
  void seal(SegmentId id) noexcept { headers_[id].state = SegmentState::kSealed; }
  // Whatever is in it is gone. REQUIRES: it is not free and not in the expiry queue.
  void release(SegmentId id) noexcept;
  void flush() noexcept;
  // A step towards memory for what will be written soon.
  void populate() noexcept { heap_.populate(std::size_t{touched_} * segment_bytes_, kPopulatedAheadBytes); }

  // The place of a new item of that size, counted as live. Nothing when the segment has no room for it.
  [[nodiscard]] std::optional<Place> append(SegmentId id, std::uint32_t bytes) noexcept;
  // The item is no longer wanted: its bytes count as dead.
  void retire(Place place) noexcept;

  // Sums over the chains.
  [[nodiscard]] std::uint64_t live_items() const noexcept { return live_items_; }
  [[nodiscard]] std::uint64_t live_bytes() const noexcept { return live_bytes_; }
  [[nodiscard]] std::uint64_t written_items() const noexcept { return written_items_; }
  [[nodiscard]] std::uint64_t written_bytes() const noexcept { return written_bytes_; }
  [[nodiscard]] std::uint64_t next_sequence() const noexcept { return next_sequence_; }

  // f(Place, ItemHeader&) on every item of the segment that is not dead, in the order of writing.
  template <class F>
  void for_each_live(SegmentId id, F&& f) const {
    const SegmentHeader& at = headers_[id];
    for (std::uint32_t offset = 0; offset < at.write_offset;) {
      ItemHeader& header = item(Place{id, offset});
      const std::uint32_t bytes = header.total_bytes();
      if (!header.dead()) f(Place{id, offset}, header);
      offset += bytes;
    }
  }

 private:
  SegmentId take(std::uint32_t now_sec) noexcept;
  [[nodiscard]] SegmentId take_free() noexcept;
  [[nodiscard]] SegmentList& list_of(const SegmentHeader& header) noexcept {
    return header.epoch == epoch_ ? chains_[header.chain] : flushed_;
  }
  void link_before(SegmentList& list, SegmentId before, SegmentId id) noexcept;  // kNoSegment = at the end
  void unlink(SegmentList& list, SegmentId id) noexcept;

  std::uint32_t segment_bytes_;
  Region heap_;
  std::vector<SegmentHeader> headers_;
  std::array<SegmentList, kChains> chains_;
  std::array<std::uint32_t, kQueues> queued_{};
  SegmentList flushed_;
  // Segments [touched_, count()) were never used: their memory does not exist yet, and to touch it costs the kernel
  // more than to write it. So segments that were used before go first, in turn, as soon as there are enough of them
  // that none is reused in haste.
  static constexpr std::uint32_t kReusedInTurn = 16;
  static constexpr std::size_t kPopulatedAheadBytes = std::size_t{2} << 20;
  SegmentList free_;  // used before
  std::uint32_t touched_ = 0;
  std::uint32_t free_count_ = 0;  // of both kinds
  std::uint32_t epoch_ = 0;
  std::uint64_t next_sequence_ = 1;
  std::uint64_t live_items_ = 0;
  std::uint64_t live_bytes_ = 0;
  std::uint64_t written_items_ = 0;
  std::uint64_t written_bytes_ = 0;
};

}  // namespace pelikan::storage::segcache
