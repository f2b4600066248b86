// The seam of eviction: a policy decides which segments to look at and which of their items to keep. Moving items,
// keeping index and counters right, and freeing segments is the Store's.
// Called when a write needs a segment, nothing is flushed, expired or worth compacting, and too few segments are free:
// once per segment written, so a virtual call costs nothing that matters.
#pragma once

#include <memory>

namespace pelikan::storage::segcache {

class Store;
struct SegOptions;

class Policy {
 public:
  Policy() = default;
  virtual ~Policy() = default;
  Policy(const Policy&) = delete;
  Policy& operator=(const Policy&) = delete;

  // Frees at least one segment more than it takes. False: it frees none, and the write fails.
  // REQUIRES: one segment is free, to copy into.
  [[nodiscard]] virtual bool make_room(Store& store) noexcept = 0;
};

// The policy that seg.eviction names.
[[nodiscard]] std::unique_ptr<Policy> make_policy(const SegOptions& options);

}  // namespace pelikan::storage::segcache
