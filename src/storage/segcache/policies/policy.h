// The seam of eviction: a policy decides which segments to look at and which of their items to keep. Moving items,
// keeping index and counters right, and freeing segments is the Store's.
// Called when a write needs a segment, nothing is flushed, expired or worth compacting, and too few segments are free:
// once per segment written, so a virtual call costs nothing that matters.
// Threads: under room (shared.h), but where it says "any".
#pragma once

#include <cstdint>
#include <memory>

#include "storage/segcache/heat.h"
#include "storage/segcache/segments.h"

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
  // There is a segment to copy into, unless work_ahead() has taken it or a thread hangs.
  [[nodiscard]] virtual bool make_room(Store& store) noexcept = 0;

  // The same ahead of need and a step at a time: looks through about so many bytes of segments. Called once per turn while
  // too few segments are free. A policy whose make_room() is quick need not.
  virtual void work_ahead(Store& /*store*/, std::uint32_t /*bytes*/) noexcept {}

  // Any: where an item starts whose key was not in the cache. (A new version of an item stays in the queue of the old
  // one.)
  [[nodiscard]] virtual Queue queue_for_new(std::uint64_t /*hash*/) noexcept { return Queue::kMain; }
  [[nodiscard]] virtual HeatKind heat_kind() const noexcept { return HeatKind::kSeconds; }
  // Any: memory that grows with the items.
  [[nodiscard]] virtual std::uint64_t bytes() const noexcept { return 0; }
};

// The policy that seg.eviction names.
[[nodiscard]] std::unique_ptr<Policy> make_policy(const SegOptions& options);

}  // namespace pelikan::storage::segcache
