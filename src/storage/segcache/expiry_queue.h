// Which segment expires next: a binary heap of sealed segments by a deadline that is never later than the segment's
// own. A segment's last deadline may rise while it waits; the queue learns of it only when the old one comes up, so
// that a touch costs nothing here.
// Owner: shared.h. Threads: under room. Limit: one entry per segment, allocated at construction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "storage/segcache/segments.h"

namespace pelikan::storage::segcache {

class ExpiryQueue {
 public:
  static constexpr int kStepsMax = 64;
  static constexpr std::size_t kEntryBytes = 8;  // of memory for each segment of the heap

  explicit ExpiryQueue(Segments& segments) : segments_(segments) { entries_.reserve(segments.count()); }

  [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }
  // Files the segment under its present last deadline. REQUIRES: it is not queued, and it expires some time.
  void add(SegmentId id) noexcept;
  void remove(SegmentId id) noexcept;  // nothing happens when it is not queued
  // A segment whose last item has expired, still queued; kNoSegment when there is none, or none was found in kStepsMax
  // steps.
  [[nodiscard]] SegmentId due(std::uint32_t now_sec) noexcept;

  void check_invariants() const;

 private:
  struct Entry {
    std::uint32_t deadline;
    SegmentId segment;
  };
  static_assert(sizeof(Entry) == kEntryBytes);

  void put(std::size_t place, Entry entry) noexcept {
    entries_[place] = entry;
    segments_.header(entry.segment).queue_place = static_cast<std::uint32_t>(place);
  }
  void sift_up(std::size_t place, Entry entry) noexcept;
  void sift_down(std::size_t place, Entry entry) noexcept;

  Segments& segments_;
  std::vector<Entry> entries_;
};

}  // namespace pelikan::storage::segcache
