// Segcache's merge: several consecutive segments of one TTL class become one, which keeps the items with the most hits
// per byte.
//
// Classes take turns. In a class, a run of three to merge_max sealed neighbours is looked for from where the last merge
// of that class ended. Items are kept when their hits, relative to their size, are above a cutoff; the cutoff follows
// what was kept so far, so that about one part in merge_target of the bytes is. Half of its hits go along with an item:
// Segcache's begin at 0 again, which costs up to 1 % more misses.
//
// Segments younger than 20 s are left alone, since their items had no time to be asked for. Under a fast fill that age
// is halved until something can be merged. When nothing can be even at 0 (all classes sparse), or merging frees
// nothing, the oldest segment goes and the age is 20 s again.
// Owner: Store. Threads: one.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "storage/segcache/policies/policy.h"
#include "storage/segcache/segments.h"

namespace pelikan::storage::segcache {

class Merge final : public Policy {
 public:
  Merge(unsigned merge_target, unsigned merge_max);
  [[nodiscard]] bool make_room(Store& store) noexcept override;

 private:
  static constexpr unsigned kRunMin = 3;
  static constexpr unsigned kPassesMax = 8;
  static constexpr std::uint32_t kAgeMinSec = 20;

  // Names a filling of a segment, so that one that was reused meanwhile is not taken for it.
  struct Mark {
    SegmentId segment = kNoSegment;
    std::uint64_t sequence = 0;
  };
  // What one merge keeps in mind from source to source.
  struct Pruning {
    SegmentId target = kNoSegment;
    double keep_ratio = 0;
    double cutoff = 1;
    std::uint32_t stop_bytes = 0;  // of the target: enough
  };

  [[nodiscard]] bool merge_once(Store& store) noexcept;
  [[nodiscard]] bool find_run(Store& store, unsigned ttl_class) noexcept;  // fills run_
  void merge_run(Store& store, unsigned ttl_class) noexcept;
  void prune(Store& store, SegmentId source, Pruning& pruning) noexcept;

  unsigned merge_target_;
  unsigned merge_max_;
  unsigned last_class_ = 0;
  std::uint32_t age_min_sec_ = kAgeMinSec;
  std::array<Mark, kTtlClasses> resume_;  // where the next merge of a class begins
  std::vector<SegmentId> run_;            // room for merge_max_
  std::uint64_t empty_merges_ = 0;        // that kept nothing
  std::uint64_t full_merges_ = 0;
};

}  // namespace pelikan::storage::segcache
