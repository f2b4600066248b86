#include "storage/segcache/segments.h"

#include <stdexcept>

#include "base/check.h"

namespace pelikan::storage::segcache {

Segments::Segments(std::uint32_t segments, std::uint32_t segment_bytes)
    : segment_bytes_(segment_bytes), heap_(std::size_t{segments} * segment_bytes, "the heap"), headers_(segments) {
  if (!heap_.commit(heap_.reserved_bytes())) throw std::runtime_error("seg.heap_size: not that much memory to be had");
  free_count_ = segments;
}

SegmentId Segments::open_segment(unsigned chain) const noexcept {
  const SegmentId tail = chains_[chain].tail;
  return tail != kNoSegment && headers_[tail].state == SegmentState::kOpen ? tail : kNoSegment;
}

SegmentId Segments::take(std::uint32_t now_sec) noexcept {
  const SegmentId id = take_free();
  SegmentHeader& at = headers_[id];
  at.sequence = next_sequence_++;
  at.epoch = epoch_;
  at.base_sec = now_sec;
  at.created_sec = now_sec;
  at.max_deadline = 0;
  at.write_offset = at.items = at.live_items = at.live_bytes = 0;
  return id;
}

SegmentId Segments::take_free() noexcept {
  CHECK(free_count_ > 0);
  const std::uint32_t untouched = count() - touched_;
  const std::uint32_t used_before = free_count_ - untouched;
  --free_count_;
  if (untouched > 0 && used_before < kReusedInTurn) return touched_++;
  const SegmentId id = free_.head;
  unlink(free_, id);
  return id;
}

SegmentId Segments::open_new(unsigned chain, std::uint32_t now_sec) noexcept {
  const SegmentId id = take(now_sec);
  SegmentHeader& at = headers_[id];
  at.state = SegmentState::kOpen;
  at.chain = static_cast<std::uint8_t>(chain);
  at.shift = static_cast<std::uint8_t>(expiry_shift(at.ttl_class()));
  link_before(chains_[chain], kNoSegment, id);
  ++queued_[static_cast<unsigned>(at.queue())];
  return id;
}

// Based at the present second, which lies before the deadline of every item that is moved, and so near that it always
// fits.
SegmentId Segments::take_target(SegmentId before, std::uint32_t now_sec) noexcept {
  const SegmentId id = take(now_sec);
  SegmentHeader& at = headers_[id];
  at.state = SegmentState::kSealed;
  at.created_sec = headers_[before].created_sec;
  at.chain = headers_[before].chain;
  at.shift = headers_[before].shift;
  link_before(chains_[at.chain], before, id);
  ++queued_[static_cast<unsigned>(at.queue())];
  return id;
}

void Segments::release(SegmentId id) noexcept {
  SegmentHeader& at = headers_[id];
  DCHECK(at.state != SegmentState::kFree && at.queue_place == kNotQueued);
  if (at.epoch == epoch_) {
    live_items_ -= at.live_items;
    live_bytes_ -= at.live_bytes;
    written_items_ -= at.items;
    written_bytes_ -= at.write_offset;
    --queued_[static_cast<unsigned>(at.queue())];
  }
  unlink(list_of(at), id);
  at.state = SegmentState::kFree;
  ++at.generation;
  link_before(free_, kNoSegment, id);
  ++free_count_;
}

void Segments::flush() noexcept {
  for (SegmentList& chain : chains_) {
    if (chain.head == kNoSegment) continue;
    if (flushed_.tail == kNoSegment) {
      flushed_.head = chain.head;
    } else {
      headers_[flushed_.tail].next = chain.head;
      headers_[chain.head].prev = flushed_.tail;
    }
    flushed_.tail = chain.tail;
    chain = {};
  }
  ++epoch_;
  live_items_ = live_bytes_ = written_items_ = written_bytes_ = 0;
  queued_ = {};
}

std::optional<Place> Segments::append(SegmentId id, std::uint32_t bytes) noexcept {
  SegmentHeader& at = headers_[id];
  if (bytes > segment_bytes_ - at.write_offset) return std::nullopt;
  const Place place{id, at.write_offset};
  at.write_offset += bytes;
  at.live_bytes += bytes;
  ++at.items;
  ++at.live_items;
  live_bytes_ += bytes;
  written_bytes_ += bytes;
  ++live_items_;
  ++written_items_;
  return place;
}

void Segments::retire(Place place) noexcept {
  SegmentHeader& at = headers_[place.segment];
  ItemHeader& header = item(place);
  DCHECK(!header.dead() && at.epoch == epoch_);
  header.mark_dead();
  const std::uint32_t bytes = header.total_bytes();
  --at.live_items;
  at.live_bytes -= bytes;
  --live_items_;
  live_bytes_ -= bytes;
}

void Segments::link_before(SegmentList& list, SegmentId before, SegmentId id) noexcept {
  SegmentHeader& at = headers_[id];
  at.next = before;
  at.prev = before == kNoSegment ? list.tail : headers_[before].prev;
  (at.prev == kNoSegment ? list.head : headers_[at.prev].next) = id;
  (before == kNoSegment ? list.tail : headers_[before].prev) = id;
}

void Segments::unlink(SegmentList& list, SegmentId id) noexcept {
  SegmentHeader& at = headers_[id];
  (at.prev == kNoSegment ? list.head : headers_[at.prev].next) = at.next;
  (at.next == kNoSegment ? list.tail : headers_[at.next].prev) = at.prev;
  at.prev = at.next = kNoSegment;
}

}  // namespace pelikan::storage::segcache
