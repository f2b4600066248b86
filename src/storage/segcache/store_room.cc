// How the Store makes room, all of it under that mutex: opening, sealing and releasing segments, moving items, joining
// sparse neighbours.
#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "base/check.h"
#include "storage/segcache/store.h"

namespace pelikan::storage::segcache {

// --- opening --------------------------------------------------------------------------------------------------------

bool Store::open_for(const Wanted& wanted) noexcept {
  metrics_.segment_request.add();
  const bool opened = open_or_none(wanted);
  (opened ? metrics_.segment_request_success : metrics_.segment_request_failure).add();
  return opened;
}

bool Store::open_under_room(const Wanted& wanted) noexcept {
  const unsigned chain = chain_of(wanted.queue, deadline_class(wanted.deadline, now_sec_));
  // What is full may be evicted, even if it is the only one of its class. (When nothing can be evicted it stays sealed:
  // an item that is smaller waits for room too.)
  if (open_[chain] != kNoSegment && !takes(open_[chain], segments_.epoch(), wanted)) seal(open_[chain]);
  if (!refill(wanted)) return false;
  // Eviction may have opened one, for items that it kept.
  if (takes(open_[chain], segments_.epoch(), wanted)) return true;
  if (open_[chain] != kNoSegment) seal(open_[chain]);
  return open_new(chain) != kNoSegment;
}

SegmentId Store::open_new(unsigned chain) noexcept {
  limit_open();
  if (!wait_ready()) return kNoSegment;
  open_[chain] = segments_.open_new(chain, now_sec_, number_);
  ++open_count_;
  return open_[chain];
}

// Nobody else can evict an open segment, so a thread may not have too many.
void Store::limit_open() noexcept {
  if (!several_) return;
  const auto most = std::max<std::size_t>(1, segments_.count() / Shared::kOpenPart / grace_.threads());
  while (open_count_ >= most) {
    SegmentId first = kNoSegment;
    for (const SegmentId id : open_) {
      if (id == kNoSegment) continue;
      if (first == kNoSegment || segments_.header(id).sequence < segments_.header(first).sequence) first = id;
    }
    seal(first);
  }
}

// Until so many segments may be had: as soon as no thread reads any more what was released. False when one hangs; once
// it was waited for in vain, the same write does not wait again.
bool Store::wait_ready(std::uint32_t wanted) noexcept {
  if (segments_.ready(wanted)) return true;
  if (!may_wait_ || segments_.free_count() < wanted) return false;
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kGraceWaitMaxMs);
  do {
    std::this_thread::yield();
    if (segments_.ready(wanted)) return true;
  } while (std::chrono::steady_clock::now() < end);
  may_wait_ = false;
  return false;
}

// A free segment for what is wanted, and its block.
bool Store::refill(const Wanted& wanted) noexcept {
  if (!has_prepared(wanted)) return prepare(wanted);
  return refill_keeping(wanted.keep, 0);
}

// So that so many segments may be lent.
bool Store::refill_keeping(SegmentId keep, std::uint32_t lent) noexcept {
  kept_ = keep;
  close_outdated();
  bool refilled = true;
  while (refilled && segments_.free_count() < segments_free_min() + lent) {
    if (reclaim() || compact_hinted()) continue;
    // What is free and cannot be had is looked at by a thread that hangs: to evict more helps nobody. When nothing is
    // free the policy has nothing to move items to, and what it looks at is evicted.
    refilled = (segments_.free_count() == 0 || wait_ready()) && policy_->make_room(*this);
  }
  kept_ = kNoSegment;
  return refilled && wait_ready(lent + 1);
}

// What refill() would have to do when the next segment is full is done ahead of it, as far as time allows, so that no
// write waits for it. Choosing what to examine needs room, examining does not: threads do it side by side.
void Store::begin_ahead() noexcept {
  may_examine_ = segments_.ready();
  if (examination_.segment != kNoSegment || segments_.free_count() >= segments_free_min()) return;
  if (!may_examine_ || compact_hinted() || !policy_->begin(*this)) return;
  // Nobody else could have the memory of large items meanwhile.
  const SegmentHeader& at = segments_.header(examination_.segment);
  if (at.lent_segments() != 0) policy_->examine(*this, segments_.segment_bytes());
}

void Store::work_ahead() noexcept {
  const std::uint64_t written = std::exchange(appended_bytes_, 0);
  if (examination_.segment == kNoSegment || !may_examine_) return;
  const std::uint64_t bytes = std::clamp<std::uint64_t>(kAheadPart * written, kAheadBytesMin, kAheadBytesMax);
  policy_->examine(*this, static_cast<std::uint32_t>(bytes));
}

bool Store::reclaim() noexcept {
  for (SegmentId id = segments_.flushed_head(); id != kNoSegment; id = segments_.header(id).next) {
    if (foreign(segments_.header(id)) || id == examination_.segment) continue;
    metrics_.segment_clear.add();
    release(id);
    return true;
  }
  for (SegmentId id = kNoSegment; (id = shared_->expiry_queue.due(now_sec_)) != kNoSegment;) {
    LastDeadline& last = segments_.header(id).last_deadline;
    if (!last.close(std::min(last.get(), now_sec_))) continue;  // touched meanwhile
    metrics_.segment_expire.add();
    metrics_.item_expire.add(release(id).items);
    return true;
  }
  return false;
}

// --- sealing and releasing ------------------------------------------------------------------------------------------

void Store::close(SegmentId id) noexcept {
  SegmentHeader& at = segments_.header(id);
  if (!at.open()) return;
  open_[at.chain] = kNoSegment;
  --open_count_;
  segments_.seal(id);
  if (at.last_deadline.get() != kNever) shared_->expiry_queue.add(id);
}

void Store::seal(SegmentId id) noexcept {
  shared_->nothing_to_compact.store(false, std::memory_order_relaxed);
  close(id);
  const Amount live = segments_.header(id).live();
  if (live.items == 0) {
    release(id);
  } else if (sparse(live.bytes)) {
    hint(id);
  }
}

void Store::hint(SegmentId id) noexcept { shared_->hints[shared_->hint_at++ % Shared::kHints] = id; }

// What was alive in it.
Amount Store::release(SegmentId id) noexcept {
  SegmentHeader& at = segments_.header(id);
  close(id);
  shared_->nothing_to_compact.store(false, std::memory_order_relaxed);
  shared_->expiry_queue.remove(id);
  const Segments::Released released = segments_.release(id);
  count(at, {.live_items = -std::int64_t{released.live.items},
             .live_bytes = -std::int64_t{released.live.bytes},
             .written_items = -std::int64_t{released.written.items},
             .written_bytes = -std::int64_t{released.written.bytes}});
  metrics_.segment_return.add();
  if (at.lent_segments() != 0) note_blocks_of(id);
  give_back_noted();
  if (at.sweep != shared_->sweeps) {
    at.sweep = shared_->sweeps;
    at.reuses = 0;
  }
  ++at.reuses;
  CHECK(at.reuses <= kReusesPerSweepMax);
  if (at.reuses > kReusesAtLeisure) {
    const std::uint64_t due =
        index_.buckets() * (at.reuses - kReusesAtLeisure) / (kReusesPerSweep - kReusesAtLeisure) + 1;
    if (due > index_.sweep_position()) sweep(due - index_.sweep_position());
  }
  return released.live;
}

void Store::sweep(std::uint64_t buckets) noexcept {
  if (!index_.sweep(buckets)) return;
  ++shared_->sweeps;
  metrics_.hash_sweep.add();
}

// --- what policies do -----------------------------------------------------------------------------------------------

SegmentId Store::take_target(SegmentId before) noexcept {
  return wait_ready() ? segments_.take_target(before, now_sec_) : kNoSegment;
}

void Store::take_for_examination(SegmentId id) noexcept {
  close(id);
  shared_->expiry_queue.remove(id);
  segments_.examine(id, number_);
}

void Store::end_examination() noexcept {
  const Room room(*this);
  drop_merged(std::exchange(examination_.segment, kNoSegment));
}

bool Store::relocate(Place from, SegmentId target, Heat heat) noexcept {
  const ItemHeader& item = segments_.item(from);
  const Index::Hold hold(index_, index_.hash(item.key()));
  SlotCell* cell = index_.find(hold, segments_.slot(hold.hash(), from));
  if (cell == nullptr) {  // another thread has taken it out, and is about to count that
    CHECK(several_);
    return false;
  }
  const std::uint32_t deadline = segments_.deadline(from);
  if (deadline <= now_sec_) {
    cell->set({});
    drop(from);
    metrics_.item_expire.add();
    return false;
  }
  if (target == kNoSegment) return false;
  const std::uint32_t bytes = item.total_bytes();
  const Place to = segments_.end_of(target);
  SegmentHeader& at = segments_.header(target);
  const std::optional<std::uint32_t> code = encode_expiry(deadline, at.base_sec, at.shift);
  // Between two steps of an examination all may be flushed: what was before that must not get into what comes after.
  if (!segments_.has_room(target, bytes) || !code || segments_.header(from.segment).epoch != at.epoch) return false;
  item.copy_to(&segments_.item(to), *code, heat);
  if (item.large()) {
    CHECK(segments_.claim_block(from));
    segments_.wrote_large(to);
  }
  at.last_deadline.raise(deadline, several_);
  segments_.wrote(to, bytes);
  count(at, {.live_items = 1, .live_bytes = bytes, .written_items = 1, .written_bytes = bytes});
  cell->set(segments_.slot(hold.hash(), to));
  drop(from);
  metrics_.item_relink.add();
  return true;
}

bool Store::relocate_to_main(Place from, Heat heat) noexcept {
  const SegmentHeader& at = segments_.header(from.segment);
  if (!segments_.in_use(at)) return false;  // flushed
  const std::uint32_t deadline = segments_.deadline(from);
  if (deadline <= now_sec_) return relocate(from, kNoSegment, heat);
  const std::uint32_t bytes = segments_.item(from).total_bytes();
  const unsigned chain = chain_of(Queue::kMain, at.ttl_class());
  if (!takes(open_[chain], at.epoch, {.bytes = bytes, .deadline = deadline})) {
    const Room room(*this);
    if (open_[chain] != kNoSegment) seal(open_[chain]);
    if (open_new(chain) == kNoSegment) return false;
  }
  const bool moved = relocate(from, open_[chain], heat);
  if (moved && segments_.item(from).large()) seal_large();
  return moved;
}

void Store::drop_merged(SegmentId id) noexcept {
  metrics_.segment_merge.add();
  metrics_.item_evict.add(release(id).items);
}

void Store::finish_target(SegmentId id) noexcept {
  const SegmentHeader& at = segments_.header(id);
  if (at.live().items == 0) {
    release(id);
  } else if (at.last_deadline.get() != kNever) {
    shared_->expiry_queue.add(id);
  }
}

bool Store::droppable(SegmentId id, bool open_too) const noexcept {
  const SegmentHeader& at = segments_.header(id);
  return id != kept_ && (at.sealed() || (at.open() && open_too && !foreign(at)));
}

// What other threads have in hand is passed by; there is not much.
SegmentId Store::oldest_head(unsigned first_chain, unsigned chains, bool open_too) const noexcept {
  SegmentId oldest = kNoSegment;
  for (unsigned i = first_chain; i < first_chain + chains; ++i) {
    SegmentId id = segments_.chain(i).head;
    while (id != kNoSegment && !droppable(id, open_too)) id = segments_.header(id).next;
    if (id == kNoSegment) continue;
    if (oldest != kNoSegment) {
      const SegmentHeader& at = segments_.header(id);
      const SegmentHeader& best = segments_.header(oldest);
      if (std::pair(best.created_sec, best.sequence) <= std::pair(at.created_sec, at.sequence)) continue;
    }
    oldest = id;
  }
  return oldest;
}

SegmentId Store::oldest(Queue queue) const noexcept { return oldest_head(chain_of(queue, 0), kTtlClasses, true); }

bool Store::evict_oldest() noexcept {
  SegmentId id = oldest_head(0, kChains, false);
  if (id == kNoSegment) id = oldest_head(0, kChains, true);
  if (id == kNoSegment) return false;
  evict(id);
  return true;
}

void Store::evict(SegmentId id) noexcept {
  metrics_.segment_evict.add();
  metrics_.item_evict.add(release(id).items);
}

std::uint32_t Store::oldest_sec() noexcept {
  const Room room(*this);
  std::uint32_t oldest = now_sec_;
  for (unsigned i = 0; i < kChains; ++i) {
    const SegmentId head = segments_.chain(i).head;
    if (head != kNoSegment) oldest = std::min(oldest, segments_.header(head).created_sec);
  }
  return oldest;
}

bool Store::compact_hinted() noexcept {
  const auto joinable = [this](SegmentId id) {
    return id != kNoSegment && evictable(id) && sparse(segments_.header(id).live().bytes);
  };
  const auto lent = [this](SegmentId id) { return segments_.header(id).lent_segments(); };
  const auto pair = [&](SegmentId id, SegmentId other) {
    if (!joinable(other)) return false;
    return lent(id) == 0 || lent(other) == 0 || lent(id) + lent(other) <= shared_->lent_together;
  };
  for (SegmentId& hint : shared_->hints) {
    const SegmentId id = std::exchange(hint, kNoSegment);
    if (!joinable(id)) continue;
    const SegmentHeader& at = segments_.header(id);
    if (pair(id, at.next)) return compact_pair(id, at.next);
    if (pair(id, at.prev)) return compact_pair(at.prev, id);
  }
  return false;
}

bool Store::compact_any() noexcept {
  if (shared_->nothing_to_compact.load(std::memory_order_relaxed)) return false;
  for (unsigned i = 0; i < kChains; ++i) {
    for (SegmentId id = segments_.chain(i).head; id != kNoSegment; id = segments_.header(id).next) {
      const SegmentId next = segments_.header(id).next;
      if (next == kNoSegment || !evictable(id) || !evictable(next)) continue;
      const std::uint32_t bytes = segments_.header(id).live().bytes + segments_.header(next).live().bytes;
      if (bytes <= segments_.segment_bytes()) return compact_pair(id, next);
    }
  }
  shared_->nothing_to_compact.store(true, std::memory_order_relaxed);
  return false;
}

// REQUIRES: together they fit one segment. Always frees one more than it takes.
bool Store::compact_pair(SegmentId first, SegmentId second) noexcept {
  const SegmentId target = take_target(first);
  if (target == kNoSegment) return false;
  for (const SegmentId source : {first, second}) {
    segments_.for_each_live(source, [&](Place place, const ItemHeader& item) {
      if (relocate(place, target, item.heat())) metrics_.item_compacted.add();
      return true;
    });
    CHECK(several_ || segments_.header(source).live().items == 0);
    metrics_.segment_compact.add();
    release(source);
  }
  finish_target(target);
  return true;
}

}  // namespace pelikan::storage::segcache
