#include "storage/segcache/policies/seger.h"

#include <algorithm>

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
  const Examination& at = store.examination();
  for (unsigned i = 0; i < kExaminationsMax; ++i) {
    if (at.segment == kNoSegment && !begin(store)) break;
    if (store.keeps(at.segment)) break;
    examine(store, store.segments().segment_bytes());
    if (store.segments().free_count() > free_before) return true;
  }
  return store.evict_oldest();
}

bool Seger::begin(Store& store) noexcept {
  const Segments& segments = store.segments();
  const double share = segments.queued(Queue::kSmall) / (kSmallPart * segments.count());
  const Queue first = share > 1 ? Queue::kSmall : Queue::kMain;
  for (const Queue queue : {first, first == Queue::kMain ? Queue::kSmall : Queue::kMain}) {
    const SegmentId id = store.oldest(queue);
    if (id == kNoSegment) continue;
    store.take_for_examination(id);
    const std::uint64_t live_bytes = segments.cost(segments.header(id));
    if (const std::uint32_t live_items = segments.header(id).live().items; live_items > 0) {
      const double mean_bytes = static_cast<double>(live_bytes) / live_items;
      if (threshold_.load(std::memory_order_relaxed) == 0) {
        threshold_.store(0.5 / mean_bytes, std::memory_order_relaxed);
      }
      if (queue == Queue::kSmall) learn_size(store, mean_bytes);
    }
    store.examination() = {
        .segment = id, .live_bytes = live_bytes, .queue = queue, .steers = queue == Queue::kMain || share > kMainLacks};
    return true;
  }
  return false;
}

void Seger::examine(Store& store, std::uint32_t bytes) noexcept {
  Examination& at = store.examination();
  const std::uint32_t end = at.offset + bytes;
  const double threshold = threshold_.load(std::memory_order_relaxed);
  const auto examine_item = [&](Place place, const ItemHeader& item) {
    const std::uint32_t item_bytes = item.total_bytes();
    const std::uint64_t cost = store.segments().cost(item);
    const std::uint32_t state = state_now(at.queue, item);
    if (expected_[state].load(std::memory_order_relaxed) >= threshold * static_cast<double>(cost)) {
      if (store.relocate_to_main(place, heat_of_state(state))) at.kept_bytes += cost;
    } else if (at.queue == Queue::kSmall) {
      ghost_.add(store.hash(item.key()));
    }
    return place.offset + item_bytes < end;
  };
  at.offset = store.segments().for_each_live(at.segment, examine_item, at.offset);
  if (at.offset < store.segments().header(at.segment).written().bytes) return;
  if (at.steers && at.live_bytes > 0) {
    const double kept_part = static_cast<double>(at.kept_bytes) / static_cast<double>(at.live_bytes);
    const double factor = kept_part > kKeptPart ? kSteer : 1 / kSteer;
    threshold_.store(threshold * factor, std::memory_order_relaxed);
  }
  store.end_examination();
}

std::uint32_t Seger::state_now(Queue queue, const ItemHeader& item) noexcept {
  const std::uint32_t hits = heat_hits(item.heat());
  if (queue == Queue::kSmall) return state_after_small(hits);
  const std::uint32_t state = heat_state(item.heat());
  const double expected = expected_[state].load(std::memory_order_relaxed);
  expected_[state].store(expected + kLearn * (std::min(hits, kHitsLearned) - expected), std::memory_order_relaxed);
  return state_after_main(state, hits);
}

void Seger::learn_size(const Store& store, double mean_bytes) noexcept {
  item_bytes_ += item_bytes_ == 0 ? mean_bytes : (mean_bytes - item_bytes_) * kMeanWeight;
  ghost_.grow(static_cast<std::uint64_t>(kGhostPart * static_cast<double>(store.live_bytes()) / item_bytes_),
              kGhostLinesAtOnce);
}

}  // namespace pelikan::storage::segcache
