// The heap: fixed-size segments that items are appended to, the free ones in a queue, those in use in one chain per TTL
// class and queue of the eviction policy.
//
//            open_new()              seal()                    release()
//   kFree ───────────────▶ kOpen ──────────────▶ kSealed ──────────────────▶ kFree
//     │                      └───────────── release() ─────────────────────────▲
//     └─────────────── take_target() ───────────────▶ kSealed (being filled by eviction)
//   There is no way back from kSealed to kOpen: nothing is ever written behind the end of a sealed segment. A thread
//   may take a sealed one out of the others' hands to examine it (kExamined); then it releases it.
//
// A large value lies in a block of its own, outside the heap. It is paid for with segments: lend() takes as many of the
// free ones, gives their memory back to the kernel and maps the block (kFree -> kLent); give_back() ends that. So heap
// and blocks together never are more than the heap was to be.
//
// A chain is in the order of writing: its head is the oldest, an open segment is its tail. flush() moves all chains to
// one list of flushed segments, in constant time; their `epoch` tells whoever meets them that they are gone.
// Owner:   shared.h. Threads: every function says which; "room" is the mutex of shared.h, without which one thread at a
//          time may call it. What readers see goes by the memory orders of docs/concurrency.md. `shared` is false when
//          there is one thread in all: then nothing here is a read-modify-write.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "storage/segcache/grace.h"
#include "storage/segcache/item.h"
#include "storage/segcache/region.h"
#include "storage/segcache/slot.h"
#include "storage/segcache/ttl.h"

namespace pelikan::storage::segcache {

enum class SegmentState : std::uint8_t { kFree, kOpen, kSealed, kExamined, kLent };

// Policies that need no second queue use the main one.
enum class Queue : std::uint8_t { kMain, kSmall };
inline constexpr unsigned kQueues = 2;
inline constexpr unsigned kChains = kQueues * kTtlClasses;

[[nodiscard]] constexpr unsigned chain_of(Queue queue, unsigned ttl_class) noexcept {
  return static_cast<unsigned>(queue) * kTtlClasses + ttl_class;
}

inline constexpr std::uint32_t kNotQueued = 0xFFFFFFFF;

// How many items, and how many bytes, headers and padding included.
struct Amount {
  std::uint32_t items = 0;
  std::uint32_t bytes = 0;
};

// What became of the items of a segment and is counted by whoever does it: items and bytes in one word. It is closed
// when the segment is released: who comes later counts nothing, since the release has.
class Removed {
 public:
  [[nodiscard]] Amount get() const noexcept { return amount(word_.load(std::memory_order_relaxed)); }
  // False when it is closed.
  bool add(std::uint32_t bytes, bool shared) noexcept {
    const std::uint64_t one = (std::uint64_t{1} << 32) | bytes;
    std::uint64_t before = word_.load(std::memory_order_relaxed);
    if (shared) {
      before = word_.fetch_add(one, std::memory_order_relaxed);
    } else {
      word_.store(before + one, std::memory_order_relaxed);
    }
    return (before & kClosed) == 0;
  }
  Amount close() noexcept { return amount(word_.exchange(kClosed, std::memory_order_relaxed)); }
  void open() noexcept { word_.store(0, std::memory_order_relaxed); }

 private:
  static constexpr std::uint64_t kClosed = std::uint64_t{1} << 63;
  static Amount amount(std::uint64_t word) noexcept {
    return {static_cast<std::uint32_t>((word & ~kClosed) >> 32), static_cast<std::uint32_t>(word)};
  }
  std::atomic<std::uint64_t> word_{0};
};

// The last deadline of the items of a segment: it is only raised, until the segment is taken out because that has come.
class LastDeadline {
 public:
  [[nodiscard]] std::uint32_t get() const noexcept { return value_.load(std::memory_order_relaxed); }
  void open() noexcept { set(kClosed + 1); }
  // False when it is closed: the item has expired.
  bool raise(std::uint32_t deadline, bool shared) noexcept {
    std::uint32_t before = get();
    while (before < deadline) {
      if (before == kClosed) return false;
      if (!shared) {
        set(deadline);
        return true;
      }
      if (value_.compare_exchange_weak(before, deadline, std::memory_order_relaxed)) return true;
    }
    return true;
  }
  // False when it was raised above `deadline` meanwhile.
  bool close(std::uint32_t deadline) noexcept {
    return value_.compare_exchange_strong(deadline, kClosed, std::memory_order_relaxed);
  }

 private:
  static constexpr std::uint32_t kClosed = 0;
  void set(std::uint32_t deadline) noexcept { value_.store(deadline, std::memory_order_relaxed); }

  std::atomic<std::uint32_t> value_{kClosed};
};

// The first line is what a lookup reads, and does not change while the segment has items; all that counts is in the
// second. `room`: written and read under that mutex.
struct alignas(64) SegmentHeader {
  std::uint64_t sequence = 0;                // names this filling of the segment for ever; part of every CAS token
  std::atomic<std::uint32_t> generation{0};  // how often it was released; slots carry the low byte
  std::uint32_t epoch = 0;                   // of flushes
  std::uint32_t base_sec = 0;                // expiries count from here
  std::uint8_t shift = 0;                    // of the class: the grain of its expiries
  std::uint8_t chain = 0;
  bool hollow = false;          // its memory was given back and not touched since; room
  char* block = nullptr;        // of the first segment lent for a block, until that is unmapped; room
  std::size_t block_bytes = 0;  // room

  alignas(64) Removed removed;
  std::atomic<std::uint32_t> write_offset{0};  // written by the owner of an open segment, behind a whole item
  std::atomic<std::uint32_t> items{0};         // written, dead ones included
  LastDeadline last_deadline;
  std::atomic<std::uint32_t> lent{0};      // segments lent to its items that are not dead
  std::uint32_t created_sec = 0;           // when its oldest items were first written; room
  SegmentId prev = kNoSegment;             // room; of the first segment lent for a block: whoever owns the block
  SegmentId next = kNoSegment;             // room; of a lent one: the next of the same block
  std::uint32_t queue_place = kNotQueued;  // in the expiry queue; room
  std::uint32_t sweep = 0;                 // during which sweep of the index `reuses` was counted; room
  std::uint64_t free_when = 0;             // Grace::raise(); room
  std::atomic<SegmentState> state{SegmentState::kFree};
  std::uint8_t reuses = 0;  // room
  std::uint16_t owner = 0;  // the thread that has it open, or examines it; room

  [[nodiscard]] Queue queue() const noexcept { return static_cast<Queue>(chain / kTtlClasses); }
  [[nodiscard]] unsigned ttl_class() const noexcept { return chain % kTtlClasses; }
  [[nodiscard]] Amount written() const noexcept {
    return {items.load(std::memory_order_relaxed), write_offset.load(std::memory_order_acquire)};
  }
  [[nodiscard]] Amount live() const noexcept {
    const Amount gone = removed.get();
    const Amount all = written();
    return {all.items - gone.items, all.bytes - gone.bytes};
  }
  [[nodiscard]] std::uint32_t lent_segments() const noexcept { return lent.load(std::memory_order_relaxed); }
  [[nodiscard]] bool open() const noexcept { return state.load(std::memory_order_acquire) == SegmentState::kOpen; }
  [[nodiscard]] bool sealed() const noexcept { return state.load(std::memory_order_acquire) == SegmentState::kSealed; }
  [[nodiscard]] bool examined() const noexcept {
    return state.load(std::memory_order_acquire) == SegmentState::kExamined;
  }
  // Has items, or may get some.
  [[nodiscard]] bool filled() const noexcept {
    const SegmentState now = state.load(std::memory_order_acquire);
    return now != SegmentState::kFree && now != SegmentState::kLent;
  }
};
static_assert(sizeof(SegmentHeader) == 128);

// Where an item is.
struct Place {
  SegmentId segment = kNoSegment;
  std::uint32_t offset = 0;
};
[[nodiscard]] constexpr Place place_of(Slot slot) noexcept { return {slot.segment(), slot.offset()}; }

// An item and its segment, as they were when they were looked at: so nothing is looked for or worked out twice.
struct Located {
  Place place;
  ItemHeader& item;
  const SegmentHeader& segment;
  std::uint32_t deadline;

  // Never 0: sequences count from 1.
  [[nodiscard]] std::uint64_t cas_token() const noexcept {
    return (segment.sequence << kSlotOffsetBits) | (place.offset / kSlotUnitBytes);
  }
};

struct SegmentList {
  SegmentId head = kNoSegment;
  SegmentId tail = kNoSegment;
};

class Segments {
 public:
  Segments(std::uint32_t segments, std::uint32_t segment_bytes, Grace& grace);
  ~Segments();
  Segments(const Segments&) = delete;
  Segments& operator=(const Segments&) = delete;

  // Makes the whole heap real: how many bytes. Throws std::runtime_error. REQUIRES: no other thread is here yet.
  std::uint64_t prefault() { return heap_.prefault(heap_.reserved_bytes()); }

  // --- any thread ---

  [[nodiscard]] std::uint32_t count() const noexcept { return static_cast<std::uint32_t>(headers_.size()); }
  [[nodiscard]] std::uint32_t segment_bytes() const noexcept { return segment_bytes_; }
  [[nodiscard]] bool shared() const noexcept { return shared_; }
  // Without items: those that may be had at once, and those that readers may still look at.
  [[nodiscard]] std::uint32_t free_count() const noexcept { return free_count_.load(std::memory_order_relaxed); }
  // What segments that were ever used, and blocks, take of the machine's memory.
  [[nodiscard]] std::uint64_t real_bytes() const noexcept {
    const auto get = [](const auto& number) { return number.load(std::memory_order_relaxed); };
    return heap_.real_bytes(used_bytes()) - get(hollow_bytes_) + get(mapped_bytes_);
  }
  // Memory ahead of what is used: Region says more. The last for one thread at a time.
  [[nodiscard]] bool runs_short() const noexcept { return heap_.runs_short(used_bytes()); }
  bool populate() noexcept { return heap_.populate(used_bytes()); }
  // Large items: how many, and the bytes of their values.
  [[nodiscard]] std::uint32_t large_items() const noexcept { return large_items_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t large_bytes() const noexcept { return large_bytes_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint32_t lent_count() const noexcept { return lent_count_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint32_t epoch() const noexcept { return epoch_.load(std::memory_order_acquire); }

  [[nodiscard]] SegmentHeader& header(SegmentId id) noexcept { return headers_[id]; }
  [[nodiscard]] const SegmentHeader& header(SegmentId id) const noexcept { return headers_[id]; }
  [[nodiscard]] ItemHeader& item(Place place) const noexcept {
    return *reinterpret_cast<ItemHeader*>(heap_.data() + std::size_t{place.segment} * segment_bytes_ + place.offset);
  }
  [[nodiscard]] ItemHeader& item(Slot slot) const noexcept { return item(place_of(slot)); }
  // Hints to the CPU: header and first lines of the item, and its segment's header.
  void prefetch(Slot slot) const noexcept {
    const char* at = reinterpret_cast<const char*>(&item(slot));
    __builtin_prefetch(at);
    __builtin_prefetch(at + 64);
    __builtin_prefetch(&headers_[slot.segment()]);
  }

  // In a chain: neither free nor lent nor flushed.
  [[nodiscard]] bool in_use(const SegmentHeader& header) const noexcept {
    return header.filled() && header.epoch == epoch();
  }
  // The slot points at an item of this epoch of flushes, dead marks and expiry aside.
  [[nodiscard]] bool current(Slot slot, std::uint32_t epoch) const noexcept {
    const SegmentHeader& at = headers_[slot.segment()];
    return slot.generation() == (at.generation.load(std::memory_order_acquire) & 0xFF) && at.epoch == epoch;
  }
  [[nodiscard]] Located locate(Place place) const noexcept {
    const SegmentHeader& at = headers_[place.segment];
    ItemHeader& item = this->item(place);
    return {place, item, at, decode_expiry(item.expiry_code(), at.base_sec, at.shift)};
  }
  [[nodiscard]] std::uint32_t deadline(Place place) const noexcept { return locate(place).deadline; }
  [[nodiscard]] Slot slot(std::uint64_t hash, Place place) const noexcept {
    const std::uint32_t generation = headers_[place.segment].generation.load(std::memory_order_relaxed);
    return Slot::make(Slot::tag_of(hash), generation, place.segment, place.offset);
  }
  [[nodiscard]] std::uint64_t cas_token(Place place) const noexcept { return locate(place).cas_token(); }
  // f(Place, ItemHeader&) on every item of the segment that is not dead, in the order of writing, from `offset` on.
  // Where it ended: when f says no, behind that item.
  template <class F>
  std::uint32_t for_each_live(SegmentId id, F&& f, std::uint32_t offset = 0) const {
    const std::uint32_t end = headers_[id].written().bytes;
    for (bool go_on = true; go_on && offset < end;) {
      const Place place{id, offset};
      ItemHeader& header = item(place);
      offset += header.total_bytes();
      if (!header.dead()) go_on = f(place, header);
    }
    return offset;
  }

  // The item is no longer wanted: its bytes count as dead. False when the segment was released meanwhile, and the item
  // counted with it. REQUIRES: the caller took it out of the index.
  bool retire(Place place) noexcept {
    ItemHeader& header = item(place);
    header.mark_dead(shared_);
    return headers_[place.segment].removed.add(header.total_bytes(), shared_);
  }

  // --- large items ---

  // Whether an item does not fit a segment.
  [[nodiscard]] bool large(std::size_t key_bytes, std::size_t value_bytes, bool has_flags) const noexcept {
    return item_bytes(key_bytes, value_bytes, has_flags) > segment_bytes_;
  }
  // How many segments are lent for a value.
  [[nodiscard]] std::uint32_t lent_for(std::size_t value_bytes) const noexcept {
    return static_cast<std::uint32_t>((block_bytes(value_bytes) + segment_bytes_ - 1) / segment_bytes_);
  }
  // The most that so many segments pay for.
  [[nodiscard]] std::uint64_t block_bytes_max(std::uint32_t lent) const noexcept {
    return std::uint64_t{lent} * segment_bytes_ / kPageBytes * kPageBytes;
  }
  [[nodiscard]] std::uint32_t lent_for(const ItemHeader& item) const noexcept {
    return item.large() ? lent_for(item.value_bytes()) : 0;
  }
  // What an item takes of the heap, and what all in a segment do that are not dead: blocks included.
  [[nodiscard]] std::uint64_t cost(const ItemHeader& item) const noexcept {
    return item.total_bytes() + std::uint64_t{lent_for(item)} * segment_bytes_;
  }
  [[nodiscard]] std::uint64_t cost(const SegmentHeader& header) const noexcept {
    return header.live().bytes + std::uint64_t{header.lent_segments()} * segment_bytes_;
  }
  // A large item was written there. By the owner of the open segment, or room for a target.
  void wrote_large(Place place) noexcept;
  // Marks a large item dead. True: it was not, and its block is now the caller's, who gives it back or moves it on.
  [[nodiscard]] bool claim_block(Place place) noexcept;

  // --- the owner of an open segment, or room for a target ---

  // Where a new item goes, and whether there is room for one of that size.
  [[nodiscard]] Place end_of(SegmentId id) const noexcept {
    return {id, headers_[id].write_offset.load(std::memory_order_relaxed)};
  }
  [[nodiscard]] bool has_room(SegmentId id, std::uint32_t bytes) const noexcept {
    return bytes <= segment_bytes_ - end_of(id).offset;
  }
  // It has been written there, and counts as live.
  void wrote(Place place, std::uint32_t bytes) noexcept {
    SegmentHeader& at = headers_[place.segment];
    at.items.store(at.items.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    at.write_offset.store(place.offset + bytes, std::memory_order_release);
  }

  // --- room ---

  [[nodiscard]] const SegmentList& chain(unsigned chain) const noexcept { return chains_[chain]; }
  // Segments in the chains of a queue, and those lent to their items.
  [[nodiscard]] std::uint32_t queued(Queue queue) const noexcept {
    const auto i = static_cast<unsigned>(queue);
    return queued_[i] + queue_lent_[i].load(std::memory_order_relaxed);
  }
  [[nodiscard]] SegmentId flushed_head() const noexcept { return flushed_.head; }

  // Unmaps blocks that nobody reads any more.
  void collect_blocks() noexcept {
    if (resting_blocks_ > 0) collect_rested();
  }
  // Whether so many segments may be had now.
  [[nodiscard]] bool ready(std::uint32_t wanted = 1) noexcept;
  // An open segment for `owner`. REQUIRES: ready().
  SegmentId open_new(unsigned chain, std::uint32_t now_sec, unsigned owner) noexcept;
  // A sealed one to copy into, that stands in the chain before `before`, as old as that. REQUIRES: ready().
  SegmentId take_target(SegmentId before, std::uint32_t now_sec) noexcept;
  void seal(SegmentId id) noexcept { headers_[id].state.store(SegmentState::kSealed, std::memory_order_release); }
  struct Released {
    Amount live;
    Amount written;
  };
  // REQUIRES: it is sealed.
  void examine(SegmentId id, unsigned owner) noexcept {
    headers_[id].owner = static_cast<std::uint16_t>(owner);
    headers_[id].state.store(SegmentState::kExamined, std::memory_order_release);
  }
  // Whatever is in it is gone. REQUIRES: it is not free, not in the expiry queue, and nobody appends to it.
  Released release(SegmentId id) noexcept;
  void flush() noexcept;
  // A block for a value. Nothing when the kernel has no memory. REQUIRES: ready(lent_for(value_bytes)).
  [[nodiscard]] std::optional<LargeValue> lend(std::uint32_t value_bytes) noexcept;
  [[nodiscard]] char* block(const LargeValue& value) noexcept { return headers_[value.lent].block; }
  // The segments lent for a block are free again, and it goes, both as soon as no thread may still read it.
  // REQUIRES: no slot leads to it.
  void give_back(SegmentId first_lent) noexcept;

 private:
  [[nodiscard]] std::size_t used_bytes() const noexcept {
    return std::size_t{touched_.load(std::memory_order_relaxed)} * segment_bytes_;
  }
  SegmentId take(std::uint32_t now_sec) noexcept;
  [[nodiscard]] SegmentId take_free() noexcept;
  void collect_rested() noexcept;
  void set_free(SegmentId id) noexcept;
  void unmap_block(SegmentHeader& at) noexcept;
  // Whole pages for a value.
  [[nodiscard]] static std::size_t block_bytes(std::size_t value_bytes) noexcept {
    return (value_bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
  }
  [[nodiscard]] std::uint64_t page_bytes(SegmentId id) const noexcept {
    return Region::whole_pages_bytes(std::size_t{id} * segment_bytes_, segment_bytes_);
  }
  void weigh(SegmentHeader& at, const ItemHeader& item, bool more) noexcept;
  // Adds to what any thread may change.
  template <class T>
  void add(std::atomic<T>& number, T change) noexcept {
    if (shared_) {
      number.fetch_add(change, std::memory_order_relaxed);
    } else {
      number.store(number.load(std::memory_order_relaxed) + change, std::memory_order_relaxed);
    }
  }
  [[nodiscard]] SegmentList& list_of(const SegmentHeader& header) noexcept {
    return header.epoch == epoch() ? chains_[header.chain] : flushed_;
  }
  void link_before(SegmentList& list, SegmentId before, SegmentId id) noexcept;  // kNoSegment = at the end
  void unlink(SegmentList& list, SegmentId id) noexcept;

  std::uint32_t segment_bytes_;
  const bool shared_;
  Grace& grace_;
  Region heap_;
  std::vector<SegmentHeader> headers_;
  std::array<SegmentList, kChains> chains_;
  std::array<std::uint32_t, kQueues> queued_{};
  SegmentList flushed_;
  // Segments [touched_, count()) were never used: their memory does not exist yet, and to touch it costs the kernel
  // more than to write it. So segments that were used before go first, in turn, as soon as there are enough of them
  // that none is reused in haste.
  static constexpr std::uint32_t kReusedInTurn = 16;
  static constexpr std::size_t kPageBytes = 4096;
  SegmentList free_;     // used before
  SegmentList resting_;  // released, and readers may still look; the first released first
  std::uint32_t resting_count_ = 0;
  std::uint32_t resting_blocks_ = 0;
  std::uint64_t next_sequence_ = 1;
  // Written under room, read by all.
  std::atomic<std::uint32_t> touched_{0};
  std::atomic<std::uint32_t> free_count_{0};  // of all kinds
  std::atomic<std::uint32_t> lent_count_{0};
  std::atomic<std::uint64_t> hollow_bytes_{0};  // of heap pages that were given back
  std::atomic<std::uint64_t> mapped_bytes_{0};  // of blocks, those that rest included
  // Written by any thread.
  std::array<std::atomic<std::uint32_t>, kQueues> queue_lent_{};
  std::atomic<std::uint32_t> large_items_{0};
  std::atomic<std::uint64_t> large_bytes_{0};
  alignas(64) std::atomic<std::uint32_t> epoch_{0};
};

}  // namespace pelikan::storage::segcache
