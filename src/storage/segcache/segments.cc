#include "storage/segcache/segments.h"

#include <sys/mman.h>

#include <stdexcept>
#include <utility>

#include "base/check.h"

namespace pelikan::storage::segcache {

Segments::Segments(std::uint32_t segments, std::uint32_t segment_bytes, Grace& grace)
    : segment_bytes_(segment_bytes),
      shared_(grace.threads() > 1),
      grace_(grace),
      heap_(std::size_t{segments} * segment_bytes, "the heap"),
      headers_(segments),
      free_count_(segments) {
  if (!heap_.commit(heap_.reserved_bytes())) throw std::runtime_error("seg.heap_size: not that much memory to be had");
}

Segments::~Segments() {
  for (SegmentHeader& at : headers_) unmap_block(at);
}

bool Segments::ready(std::uint32_t wanted) noexcept {
  if (resting_count_ > 0) collect_rested();
  return free_count() - resting_count_ >= wanted;
}

void Segments::collect_rested() noexcept {
  while (resting_.head != kNoSegment && grace_.passed(headers_[resting_.head].free_when)) {
    const SegmentId id = resting_.head;
    unlink(resting_, id);
    if (headers_[id].block != nullptr) --resting_blocks_;
    unmap_block(headers_[id]);
    link_before(free_, kNoSegment, id);
    --resting_count_;
  }
}

// As far as it goes without the readers.
void Segments::set_free(SegmentId id) noexcept {
  SegmentHeader& at = headers_[id];
  at.state.store(SegmentState::kFree, std::memory_order_release);
  if (shared_) {
    link_before(resting_, kNoSegment, id);
    ++resting_count_;
    if (at.block != nullptr) ++resting_blocks_;
  } else {
    unmap_block(at);
    link_before(free_, kNoSegment, id);
  }
  free_count_.store(free_count() + 1, std::memory_order_relaxed);
}

SegmentId Segments::take(std::uint32_t now_sec) noexcept {
  const SegmentId id = take_free();
  SegmentHeader& at = headers_[id];
  at.sequence = next_sequence_++;
  at.epoch = epoch();
  at.base_sec = now_sec;
  at.created_sec = now_sec;
  at.write_offset.store(0, std::memory_order_relaxed);
  at.items.store(0, std::memory_order_relaxed);
  at.removed.open();
  at.last_deadline.open();
  return id;
}

SegmentId Segments::take_free() noexcept {
  const std::uint32_t free_count = free_count_.load(std::memory_order_relaxed);
  CHECK(free_count > resting_count_);
  const std::uint32_t touched = touched_.load(std::memory_order_relaxed);
  const std::uint32_t untouched = count() - touched;
  const std::uint32_t used_before = free_count - resting_count_ - untouched;
  free_count_.store(free_count - 1, std::memory_order_relaxed);
  if (untouched > 0 && used_before < kReusedInTurn) {
    touched_.store(touched + 1, std::memory_order_relaxed);
    return touched;
  }
  const SegmentId id = free_.head;
  unlink(free_, id);
  if (std::exchange(headers_[id].hollow, false)) add(hollow_bytes_, -page_bytes(id));
  return id;
}

SegmentId Segments::open_new(unsigned chain, std::uint32_t now_sec, unsigned owner) noexcept {
  const SegmentId id = take(now_sec);
  SegmentHeader& at = headers_[id];
  at.chain = static_cast<std::uint8_t>(chain);
  at.shift = static_cast<std::uint8_t>(expiry_shift(at.ttl_class()));
  at.owner = static_cast<std::uint16_t>(owner);
  link_before(chains_[chain], kNoSegment, id);
  ++queued_[static_cast<unsigned>(at.queue())];
  at.state.store(SegmentState::kOpen, std::memory_order_release);
  return id;
}

// Based at the present second, which lies before the deadline of every item that is moved, and so near that it always
// fits.
SegmentId Segments::take_target(SegmentId before, std::uint32_t now_sec) noexcept {
  const SegmentId id = take(now_sec);
  SegmentHeader& at = headers_[id];
  at.created_sec = headers_[before].created_sec;
  at.chain = headers_[before].chain;
  at.shift = headers_[before].shift;
  link_before(chains_[at.chain], before, id);
  ++queued_[static_cast<unsigned>(at.queue())];
  at.state.store(SegmentState::kSealed, std::memory_order_release);
  return id;
}

Segments::Released Segments::release(SegmentId id) noexcept {
  SegmentHeader& at = headers_[id];
  DCHECK(at.filled() && at.queue_place == kNotQueued);
  const Amount gone = at.removed.close();
  const Amount written = at.written();
  if (at.epoch == epoch()) --queued_[static_cast<unsigned>(at.queue())];
  unlink(list_of(at), id);
  at.generation.store(at.generation.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  if (shared_) at.free_when = grace_.raise();
  set_free(id);
  return {.live = {written.items - gone.items, written.bytes - gone.bytes}, .written = written};
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
  queued_ = {};
  epoch_.store(epoch() + 1, std::memory_order_release);
}

// --- large items ----------------------------------------------------------------------------------------------------

std::optional<LargeValue> Segments::lend(std::uint32_t value_bytes) noexcept {
  const std::size_t bytes = block_bytes(value_bytes);
  void* block = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (block == MAP_FAILED) return std::nullopt;
  SegmentId first = kNoSegment;
  for (std::uint32_t left = lent_for(value_bytes); left > 0; --left) {
    const SegmentId id = take_free();
    SegmentHeader& at = headers_[id];
    heap_.give_back(std::size_t{id} * segment_bytes_, segment_bytes_);
    at.hollow = true;
    add(hollow_bytes_, page_bytes(id));
    add(lent_count_, 1U);
    at.state.store(SegmentState::kLent, std::memory_order_release);
    at.next = std::exchange(first, id);
  }
  headers_[first].block = static_cast<char*>(block);
  headers_[first].block_bytes = bytes;
  add(mapped_bytes_, std::uint64_t{bytes});
  return LargeValue{.data = static_cast<const char*>(block), .bytes = value_bytes, .lent = first};
}

void Segments::give_back(SegmentId first_lent) noexcept {
  const std::uint64_t free_when = shared_ ? grace_.raise() : 0;
  for (SegmentId id = first_lent; id != kNoSegment;) {
    const SegmentId next = headers_[id].next;
    headers_[id].free_when = free_when;
    set_free(id);
    add(lent_count_, ~0U);
    id = next;
  }
}

// When the kernel cannot split its list of mappings the addresses stay, and only the memory goes.
void Segments::unmap_block(SegmentHeader& at) noexcept {
  if (at.block == nullptr) return;
  if (::munmap(at.block, at.block_bytes) != 0) (void)::madvise(at.block, at.block_bytes, MADV_DONTNEED);
  add(mapped_bytes_, -std::uint64_t{at.block_bytes});
  at.block = nullptr;
}

void Segments::wrote_large(Place place) noexcept { weigh(headers_[place.segment], item(place), true); }

bool Segments::claim_block(Place place) noexcept {
  if (!item(place).mark_dead(shared_)) return false;
  weigh(headers_[place.segment], item(place), false);
  return true;
}

void Segments::weigh(SegmentHeader& at, const ItemHeader& item, bool more) noexcept {
  const std::uint64_t bytes = item.value_bytes();
  const std::uint32_t lent = lent_for(item);
  add(at.lent, more ? lent : -lent);
  add(queue_lent_[static_cast<unsigned>(at.queue())], more ? lent : -lent);
  add(large_items_, more ? 1U : ~0U);
  add(large_bytes_, more ? bytes : -bytes);
}

// --- lists ----------------------------------------------------------------------------------------------------------

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
