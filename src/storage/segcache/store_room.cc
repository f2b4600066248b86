// How the Store makes room: moving items, dropping segments, joining sparse neighbours.
#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "storage/segcache/store.h"

namespace pelikan::storage::segcache {

bool Store::relocate(Place from, SegmentId target, Heat heat) noexcept {
  ItemHeader& item = segments_.item(from);
  const std::uint32_t deadline = segments_.deadline(from);
  const Index::Hold hold(index_, index_.hash(item.key()));
  SlotCell* cell = index_.find(hold, segments_.slot(hold.hash(), from));
  CHECK(cell != nullptr);
  if (deadline <= now_sec_) {
    cell->set({});
    metrics_.item_expire.add();
    segments_.retire(from);
    return false;
  }
  const std::uint32_t bytes = item.total_bytes();
  const std::optional<Place> to = segments_.append(target, bytes);
  if (!to) return false;
  ItemHeader& copy = segments_.item(*to);
  std::memcpy(static_cast<void*>(&copy), &item, bytes);
  const SegmentHeader& at = segments_.header(target);
  const std::optional<std::uint32_t> code = encode_expiry(deadline, at.base_sec, at.shift);
  CHECK(code.has_value());
  copy.set_expiry_code(*code);
  copy.set_heat(heat);
  raise_deadline(target, deadline);
  cell->set(segments_.slot(hold.hash(), *to));
  segments_.retire(from);
  metrics_.item_relink.add();
  return true;
}

bool Store::relocate_to_main(Place from, Heat heat) noexcept {
  const std::uint32_t deadline = segments_.deadline(from);
  if (deadline <= now_sec_) return relocate(from, kNoSegment, heat);
  const std::uint32_t bytes = segments_.item(from).total_bytes();
  const unsigned chain = chain_of(Queue::kMain, segments_.header(from.segment).ttl_class());
  SegmentId target = segments_.open_segment(chain);
  if (!takes(target, bytes, deadline)) {
    if (target != kNoSegment) seal(target);
    target = segments_.open_new(chain, now_sec_);
  }
  return relocate(from, target, heat);
}

void Store::drop_merged(SegmentId id) noexcept {
  metrics_.item_evict.add(segments_.header(id).live_items);
  metrics_.segment_merge.add();
  release(id);
}

void Store::finish_target(SegmentId id) noexcept {
  if (segments_.header(id).live_items == 0) release(id);
}

SegmentId Store::oldest_head(unsigned first_chain, unsigned chains, bool open_too) const noexcept {
  SegmentId oldest = kNoSegment;
  for (unsigned i = first_chain; i < first_chain + chains; ++i) {
    SegmentId id = segments_.chain(i).head;
    if (id != kNoSegment && id == pinned_) id = segments_.header(id).next;
    if (id == kNoSegment) continue;
    const SegmentHeader& at = segments_.header(id);
    if (at.state == SegmentState::kOpen && !open_too) continue;
    if (oldest != kNoSegment) {
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
  metrics_.item_evict.add(segments_.header(id).live_items);
  metrics_.segment_evict.add();
  release(id);
}

bool Store::compact_hinted() noexcept {
  const auto joinable = [this](SegmentId id) {
    return id != kNoSegment && evictable(id) && sparse(segments_.header(id));
  };
  for (SegmentId& hint : hints_) {
    const SegmentId id = std::exchange(hint, kNoSegment);
    if (!joinable(id)) continue;
    const SegmentHeader& at = segments_.header(id);
    if (joinable(at.next)) return compact_pair(id, at.next);
    if (joinable(at.prev)) return compact_pair(at.prev, id);
  }
  return false;
}

bool Store::compact_any() noexcept {
  if (nothing_to_compact_) return false;
  for (unsigned i = 0; i < kChains; ++i) {
    for (SegmentId id = segments_.chain(i).head; id != kNoSegment; id = segments_.header(id).next) {
      const SegmentId next = segments_.header(id).next;
      if (next == kNoSegment || !evictable(id) || !evictable(next)) continue;
      if (segments_.header(id).live_bytes + segments_.header(next).live_bytes > segments_.segment_bytes()) continue;
      return compact_pair(id, next);
    }
  }
  nothing_to_compact_ = true;
  return false;
}

// REQUIRES: together they fit one segment. Always frees one more than it takes.
bool Store::compact_pair(SegmentId first, SegmentId second) noexcept {
  const SegmentId target = take_target(first);
  for (const SegmentId source : {first, second}) {
    segments_.for_each_live(source, [&](Place place, ItemHeader& item) {
      if (relocate(place, target, item.heat())) metrics_.item_compacted.add();
    });
    CHECK(segments_.header(source).live_items == 0);
    metrics_.segment_compact.add();
    release(source);
  }
  finish_target(target);
  return true;
}

}  // namespace pelikan::storage::segcache
