#include "storage/segcache/policies/merge.h"

#include <algorithm>
#include <cmath>

#include "storage/segcache/store.h"

namespace pelikan::storage::segcache {

Merge::Merge(unsigned merge_target, unsigned merge_max) : merge_target_(merge_target), merge_max_(merge_max) {
  run_.reserve(merge_max);
}

bool Merge::make_room(Store& store) noexcept {
  const std::uint32_t free_before = store.segments().free_count();
  for (unsigned pass = 0; pass < kPassesMax;) {
    if (merge_once(store)) {
      if (store.segments().free_count() > free_before) return true;
      ++pass;
    } else if (age_min_sec_ > 0) {
      age_min_sec_ /= 2;
    } else {
      break;
    }
  }
  age_min_sec_ = kAgeMinSec;
  return store.evict_oldest();
}

bool Merge::merge_once(Store& store) noexcept {
  for (unsigned turn = 0; turn <= kTtlClasses; ++turn) {  // the first class comes twice: resumed, then from its head
    const unsigned ttl_class = (last_class_ + turn) % kTtlClasses;
    if (!find_run(store, ttl_class)) {
      resume_[ttl_class] = {};
      continue;
    }
    merge_run(store, ttl_class);
    last_class_ = ttl_class;
    return true;
  }
  return false;
}

bool Merge::find_run(Store& store, unsigned ttl_class) noexcept {
  const Segments& segments = store.segments();
  const Mark& mark = resume_[ttl_class];
  const bool resumes = mark.segment != kNoSegment && segments.header(mark.segment).sequence == mark.sequence &&
                       segments.in_use(segments.header(mark.segment));
  run_.clear();
  for (SegmentId id = resumes ? mark.segment : segments.chain(ttl_class).head; id != kNoSegment;
       id = segments.header(id).next) {
    if (store.evictable(id) && store.now_sec() >= segments.header(id).created_sec + age_min_sec_) {
      run_.push_back(id);
      if (run_.size() == merge_max_) break;
    } else {
      if (run_.size() >= kRunMin) break;
      run_.clear();
    }
  }
  return run_.size() >= kRunMin;
}

void Merge::merge_run(Store& store, unsigned ttl_class) noexcept {
  Segments& segments = store.segments();
  const SegmentId target = store.take_target(run_.front());
  if (target == kNoSegment) return;
  Pruning pruning{.target = target,
                  .keep_ratio = 1.0 / static_cast<double>(std::min<std::size_t>(merge_target_, run_.size())),
                  .cutoff = empty_merges_ > full_merges_ && empty_merges_ > 2 ? 0.0 : 1.0,
                  .stop_bytes = static_cast<std::uint32_t>(segments.segment_bytes() * 0.9)};
  std::size_t merged = 0;
  while (merged < run_.size() && segments.header(target).written().bytes < pruning.stop_bytes) {
    prune(store, run_[merged++], pruning);
  }
  const SegmentId after = segments.header(run_[merged - 1]).next;
  resume_[ttl_class] = after == kNoSegment ? Mark{} : Mark{after, segments.header(after).sequence};
  for (std::size_t i = 0; i < merged; ++i) store.drop_merged(run_[i]);
  ++(segments.header(target).live().items == 0 ? empty_merges_ : full_merges_);
  store.finish_target(target);
}

// Copies the items of `source` that are worth it to the target.
void Merge::prune(Store& store, SegmentId source, Pruning& pruning) noexcept {
  Segments& segments = store.segments();
  const SegmentHeader& from = segments.header(source);
  const SegmentHeader& to = segments.header(pruning.target);
  const Amount live = from.live();
  if (live.items == 0) return;
  const double mean_bytes = static_cast<double>(segments.cost(from)) / live.items;
  const std::uint32_t step_bytes = segments.segment_bytes() / 10;
  double cutoff = (1 + pruning.cutoff) / 2;
  bool keep_all = pruning.cutoff < 0.0001;
  std::uint32_t step_end = step_bytes;
  std::uint32_t scanned = 0;
  std::uint32_t copied = 0;
  const std::uint32_t end = from.written().bytes;
  while (scanned < end) {
    const Place place{source, scanned};
    const ItemHeader& item = segments.item(place);
    const std::uint32_t bytes = item.total_bytes();
    scanned += bytes;
    if (scanned >= step_end) {
      step_end += step_bytes;
      const double error = (static_cast<double>(copied) / scanned - pruning.keep_ratio) / pruning.keep_ratio;
      if (std::abs(error) > 0.5) cutoff *= 1 + error;
    }
    if (to.written().bytes >= pruning.stop_bytes && scanned > pruning.stop_bytes) keep_all = true;
    if (item.dead()) continue;
    const double score = heat_hits(item.heat()) * mean_bytes / static_cast<double>(segments.cost(item));
    if (!keep_all && score <= cutoff) continue;
    if (item.large() && !store.goes_together(pruning.target, item)) continue;
    if (store.relocate(place, pruning.target, heat_hits(item.heat()) / 2)) copied += bytes;
  }
  pruning.cutoff = cutoff;
}

}  // namespace pelikan::storage::segcache
