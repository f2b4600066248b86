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

// A segment that a thread examines. It stays in its queue, and nobody else releases it or moves its items.
struct Examination {
  SegmentId segment = kNoSegment;
  std::uint32_t offset = 0;      // how far it has come
  std::uint64_t live_bytes = 0;  // at its beginning, with the blocks of large items
  std::uint64_t kept_bytes = 0;
  Queue queue = Queue::kMain;
  bool steers = false;
};

class Policy {
 public:
  Policy() = default;
  virtual ~Policy() = default;
  Policy(const Policy&) = delete;
  Policy& operator=(const Policy&) = delete;

  // Frees at least one segment more than it takes. False: it frees none, and the write fails.
  // There is a segment to copy into, unless examinations ahead of need have taken it or a thread hangs.
  [[nodiscard]] virtual bool make_room(Store& store) noexcept = 0;

  // The same ahead of need, a step at a time, for policies that look at items. First a segment is chosen, into
  // store.examination(); false when there is none.
  [[nodiscard]] virtual bool begin(Store& /*store*/) noexcept { return false; }
  // Then, and without room, it is examined. This looks at the items in its next so many bytes.
  virtual void examine(Store& /*store*/, std::uint32_t /*bytes*/) noexcept {}

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
