#include "storage/segcache/policies/simple.h"

#include <utility>

#include "storage/segcache/store.h"

namespace pelikan::storage::segcache {
namespace {

// The first that is evictable from a random one on.
SegmentId random_evictable(Store& store) {
  const std::uint32_t count = store.segments().count();
  SegmentId id = store.random() % count;
  for (std::uint32_t i = 0; i < count; ++i, id = id + 1 == count ? 0 : id + 1) {
    if (store.evictable(id)) return id;
  }
  return kNoSegment;
}

}  // namespace

bool NoEviction::make_room(Store& store) noexcept { return store.compact_any(); }

bool OneVictim::make_room(Store& store) noexcept {
  const SegmentId id = victim(store);
  if (id == kNoSegment) return store.evict_oldest();
  store.evict(id);
  return true;
}

SegmentId RandomSegment::victim(Store& store) noexcept { return random_evictable(store); }

SegmentId RandomFifo::victim(Store& store) noexcept {
  const SegmentId id = random_evictable(store);
  if (id == kNoSegment) return id;
  const SegmentId head = store.segments().chain(store.segments().header(id).chain).head;
  return store.evictable(head) ? head : id;
}

SegmentId Best::victim(Store& store) noexcept {
  const bool all = store.segments().count() <= kLooksMax;
  const std::uint32_t looks = all ? store.segments().count() : kLooksMax;
  SegmentId best = kNoSegment;
  std::pair<std::uint64_t, std::uint64_t> best_rank;
  for (std::uint32_t i = 0; i < looks; ++i) {
    const SegmentId id = all ? i : random_evictable(store);
    if (id == kNoSegment || !store.evictable(id)) continue;
    const SegmentHeader& at = store.segments().header(id);
    const std::pair rank{cost(store.segments(), at), at.sequence};  // of equals the oldest
    if (best != kNoSegment && best_rank <= rank) continue;
    best = id;
    best_rank = rank;
  }
  return best;
}

}  // namespace pelikan::storage::segcache
