// How the Store keeps large items: blocks are prepared before a write and given back after it, both under room.
#include <sys/mman.h>

#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "base/check.h"
#include "storage/segcache/store.h"

namespace pelikan::storage::segcache {

// --- before the write -----------------------------------------------------------------------------------------------

bool Store::open_or_none(const Wanted& wanted) noexcept {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kLargeWaitMaxMs);
  while (true) {
    const std::uint32_t settled = shared_->blocks_settled.load(std::memory_order_acquire);
    {
      const Room room(*this);
      may_wait_ = several_;
      const bool opened = open_under_room(wanted);
      may_wait_ = false;
      if (opened) break;
      if (!others_keep_blocks(wanted)) return false;
    }
    if (std::chrono::steady_clock::now() >= end) return false;
    wait_for_others(settled);
  }
  if (wanted.block_bytes == 0) return true;
  // Here and not under the hold, nor under room: the kernel clears the pages.
  grace_.leave(number_);
  (void)::madvise(segments_.block(prepared_), prepared_.bytes, MADV_POPULATE_WRITE);
  grace_.enter(number_);
  return true;
}

// What is missing may be in a block that another thread is about to publish or to give back: it can be had when that
// thread has settled. Or it rests, as somebody has not had a turn for long.
bool Store::others_keep_blocks(const Wanted& wanted) noexcept {
  if (!several_) return false;
  if (shared_->lent_under_way.load(std::memory_order_relaxed) != under_way_) return true;
  if (wanted.block_bytes == 0) return false;
  const std::uint32_t lent = segments_.lent_for(wanted.block_bytes);
  return segments_.free_count() >= segments_free_min() + lent && !segments_.ready(lent + 1);
}

// The others may have room, and need not wait for this thread's turn.
void Store::wait_for_others(std::uint32_t settled) noexcept {
  grace_.leave(number_);
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kSettleWaitMs);
  while (shared_->blocks_settled.load(std::memory_order_acquire) == settled && std::chrono::steady_clock::now() < end) {
    std::this_thread::yield();
  }
  grace_.enter(number_);
}

bool Store::has_prepared(const Wanted& wanted) const noexcept {
  return wanted.block_bytes == 0 || (prepared_.lent != kNoSegment && prepared_.bytes == wanted.block_bytes);
}

bool Store::prepare(const Wanted& wanted) noexcept {
  give_back_prepared();
  const std::uint32_t lent = segments_.lent_for(wanted.block_bytes);
  if (shared_->lent_under_way.load(std::memory_order_relaxed) + lent > shared_->lent_max) return false;
  if (!refill_keeping(wanted.keep, lent) &&
      (wanted.keep == kNoSegment || wanted.keep_is_read || !refill_keeping(kNoSegment, lent))) {
    return false;
  }
  const std::optional<LargeValue> block = segments_.lend(wanted.block_bytes);
  if (!block) return false;
  prepared_ = *block;
  set_under_way(under_way_ + lent);
  return true;
}

LargeValue Store::fill_prepared(const Record& record) noexcept {
  char* to = segments_.block(prepared_);
  for (const std::string_view part : {record.front, record.back}) {
    if (!part.empty()) std::memcpy(to, part.data(), part.size());
    to += part.size();
  }
  return std::exchange(prepared_, {});
}

// --- after it -------------------------------------------------------------------------------------------------------

void Store::give_back_prepared() noexcept {
  if (prepared_.lent == kNoSegment) return;
  set_under_way(under_way_ - segments_.lent_for(prepared_.bytes));
  segments_.give_back(std::exchange(prepared_, {}).lent);
}

void Store::give_up_block() noexcept {
  const Room room(*this);
  give_back_prepared();
}

// REQUIRES: the caller has claimed the block: nobody else writes to the headers of its segments.
void Store::note_block(const ItemHeader& item) noexcept {
  const SegmentId first = item.large_value().lent;
  set_under_way(under_way_ + segments_.lent_for(item));
  segments_.header(first).prev = std::exchange(gone_, first);
  large_due_ = true;
}

// Of a segment that was just released. What is dead in it is another thread's, which has taken it out of the index.
void Store::note_blocks_of(SegmentId id) noexcept {
  segments_.for_each_live(id, [&](Place place, const ItemHeader& item) {
    if (item.large() && segments_.claim_block(place)) note_block(item);
    return true;
  });
}

void Store::give_back_noted() noexcept {
  while (gone_ != kNoSegment) {
    const SegmentHeader& at = segments_.header(gone_);
    set_under_way(under_way_ - segments_.lent_for(at.block_bytes));
    segments_.give_back(std::exchange(gone_, at.prev));
  }
}

void Store::settle_large() noexcept {
  const Room room(*this);
  large_due_ = false;
  give_back_noted();
  seal_large();
  set_under_way(prepared_.lent == kNoSegment ? 0 : segments_.lent_for(prepared_.bytes));
}

void Store::set_under_way(std::uint32_t lent) noexcept {
  if (lent == under_way_) return;
  shared_->lent_under_way.fetch_add(lent - under_way_, std::memory_order_relaxed);
  if (lent < under_way_) shared_->blocks_settled.fetch_add(1, std::memory_order_release);
  under_way_ = lent;
}

// Nobody else can evict what lies in this thread's open segments, and who evicts one evicts all that is in it.
void Store::seal_large() noexcept {
  std::uint32_t lent = 0;
  const auto lent_of = [this](SegmentId id) { return id == kNoSegment ? 0 : segments_.header(id).lent_segments(); };
  for (const SegmentId id : open_) lent += lent_of(id);
  if (lent <= shared_->lent_together) return;
  const Room room(*this);
  for (const SegmentId id : open_) {
    if (lent_of(id) != 0) seal(id);
  }
}

}  // namespace pelikan::storage::segcache
