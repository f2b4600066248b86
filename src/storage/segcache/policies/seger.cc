#include "storage/segcache/policies/seger.h"

#include <algorithm>
#include <utility>

#include "storage/segcache/store.h"

namespace pelikan::storage::segcache {
namespace {

constexpr std::uint32_t kFirstSmallState = 1;
constexpr std::uint32_t kFirstMainState = 7;
constexpr std::array<double, 8> kLadder = {0, 0.5, 1, 2, 3, 5, 8, 12};
// The hits that a state stands for when it becomes the past.
constexpr std::array<double, Seger::kStates> kPast = {1, 0, 1, 2, 3, 4, 5, 0, 0.5, 1, 2, 3, 5, 8, 12};

}  // namespace

std::uint32_t Seger::state_after_small(std::uint32_t hits) noexcept {
  const std::uint32_t step = hits < 3 ? hits : hits < 5 ? 3 : hits < 9 ? 4 : 5;
  return kFirstSmallState + step;
}

std::uint32_t Seger::state_after_main(std::uint32_t state, std::uint32_t hits) noexcept {
  const double history = (kPast[state] + hits) / 2;
  const auto* const above = std::ranges::upper_bound(kLadder, history);
  return kFirstMainState + static_cast<std::uint32_t>(above - kLadder.begin()) - 1;
}

Queue Seger::queue_for_new(std::uint64_t hash) noexcept { return ghost_.take(hash) ? Queue::kMain : Queue::kSmall; }

bool Seger::make_room(Store& store) noexcept {
  const std::uint32_t free_before = store.segments().free_count();
  for (unsigned i = 0; i < kExaminationsMax && (going_on(store) || begin(store)); ++i) {
    step(store, store.segments().segment_bytes());
    if (store.segments().free_count() > free_before) return true;
  }
  return store.evict_oldest();
}

void Seger::work_ahead(Store& store, std::uint32_t bytes) noexcept {
  if (going_on(store) || begin(store)) step(store, bytes);
}

bool Seger::going_on(const Store& store) const noexcept {
  return at_.segment != kNoSegment && store.segments().header(at_.segment).sequence == at_.sequence &&
         store.evictable(at_.segment);
}

bool Seger::begin(Store& store) noexcept {
  const Segments& segments = store.segments();
  const double share = segments.queued(Queue::kSmall) / (kSmallPart * segments.count());
  const Queue first = share > 1 ? Queue::kSmall : Queue::kMain;
  for (const Queue queue : {first, first == Queue::kMain ? Queue::kSmall : Queue::kMain}) {
    const SegmentId id = store.oldest(queue);
    if (id == kNoSegment) continue;
    store.close(id);
    const SegmentHeader& header = segments.header(id);
    const Amount live = header.live();
    if (live.items > 0) {
      if (threshold_ == 0) threshold_ = 0.5 * live.items / live.bytes;
      if (queue == Queue::kSmall) learn_size(store, live);
    }
    at_ = {.segment = id,
           .sequence = header.sequence,
           .live_bytes = live.bytes,
           .queue = queue,
           .steers = queue == Queue::kMain || share > kMainLacks};
    return true;
  }
  return false;
}

void Seger::step(Store& store, std::uint32_t bytes) noexcept {
  const Segments& segments = store.segments();
  const std::uint32_t end = at_.offset + bytes;
  const auto examine = [&](Place place, const ItemHeader& item) {
    const std::uint32_t item_bytes = item.total_bytes();
    const std::uint32_t state = state_now(at_.queue, item);
    if (expected_[state] >= threshold_ * item_bytes) {
      if (store.relocate_to_main(place, heat_of_state(state))) at_.kept_bytes += item_bytes;
    } else if (at_.queue == Queue::kSmall) {
      ghost_.grow(ghosts_wanted_);
      ghost_.add(store.hash(item.key()));
    }
    return place.offset + item_bytes < end;
  };
  at_.offset = segments.for_each_live(at_.segment, examine, at_.offset);
  if (at_.offset < segments.header(at_.segment).written().bytes) return;
  if (at_.steers && at_.live_bytes > 0) {
    threshold_ *= at_.kept_bytes > kKeptPart * at_.live_bytes ? kSteer : 1 / kSteer;
  }
  store.drop_merged(std::exchange(at_.segment, kNoSegment));
}

std::uint32_t Seger::state_now(Queue queue, const ItemHeader& item) noexcept {
  const std::uint32_t hits = heat_hits(item.heat());
  if (queue == Queue::kSmall) return state_after_small(hits);
  const std::uint32_t state = heat_state(item.heat());
  expected_[state] += kLearn * (std::min(hits, kHitsLearned) - expected_[state]);
  return state_after_main(state, hits);
}

void Seger::learn_size(const Store& store, Amount small) noexcept {
  const double mean = static_cast<double>(small.bytes) / small.items;
  item_bytes_ += item_bytes_ == 0 ? mean : (mean - item_bytes_) * kMeanWeight;
  ghosts_wanted_ = static_cast<std::uint64_t>(kGhostPart * static_cast<double>(store.live_bytes()) / item_bytes_);
}

}  // namespace pelikan::storage::segcache
