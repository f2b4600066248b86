// Segments, index and expiry together, and what keeps them in step: every item that is not dead, in a segment that is
// in use, has exactly one slot in the index. SegCache is the face of it towards protocols, a Policy is its guest when
// room is short.
// Owner: SegCache. Threads: one.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/hash.h"
#include "storage/segcache/expiry_queue.h"
#include "storage/segcache/index.h"
#include "storage/segcache/options.h"
#include "storage/segcache/policies/policy.h"
#include "storage/segcache/seg_metrics.h"
#include "storage/segcache/segments.h"

namespace pelikan::storage::segcache {

// How an item begins: what it inherits from the version it replaces, or what the policy gives to a new one.
struct Start {
  Queue queue = Queue::kMain;
  Heat heat = 0;
};

// An item to be written. The parts may view an item in the heap.
struct Record {
  std::string_view key;
  std::string_view front;  // the value is front + back
  std::string_view back;
  std::uint32_t flags = 0;
  std::uint32_t deadline = kNever;
  Start start = {};

  [[nodiscard]] std::size_t bytes() const noexcept {
    return item_bytes(key.size(), front.size() + back.size(), flags != 0);
  }
};

class Store {
 public:
  Store(const SegOptions& options, const KeyHash& hash, const Time& start);

  // --- for SegCache ---

  void turn(const Time& now) noexcept;
  [[nodiscard]] std::uint32_t now_sec() const noexcept { return now_sec_; }
  [[nodiscard]] std::uint64_t hash(std::string_view key) const noexcept { return index_.hash(key); }
  void prefetch_bucket(std::uint64_t hash) const noexcept { index_.prefetch_bucket(hash); }
  void prefetch_item(std::uint64_t hash) const noexcept { index_.prefetch_item(hash); }
  // The live item with that key.
  [[nodiscard]] std::optional<Place> look_up(std::uint64_t hash, std::string_view key) const noexcept;
  // Before a write, when no chain is held: what may take long is done here.
  void prepare_write() noexcept { index_.grow(segments_.live_items()); }
  // The chain of that hash.
  [[nodiscard]] Index::Hold hold(std::uint64_t hash) noexcept { return Index::Hold(index_, hash); }
  // As look_up(). An item that has expired is taken out on the way.
  [[nodiscard]] std::optional<Place> find(const Index::Hold& hold, std::string_view key) noexcept;
  void count_hit(ItemHeader& item) noexcept {
    const Heat before = item.heat();
    const Heat after = heat_kind_ == HeatKind::kRounds ? heat_after_hit(before)
                                                       : heat_after_hit(before, now_sec_, [this] { return random(); });
    if (after != before) item.set_heat(after);
  }
  [[nodiscard]] Start start_of(std::uint64_t hash, std::optional<Place> replaced) noexcept {
    if (!replaced) return {policy_->queue_for_new(hash), 0};
    return {segments_.header(replaced->segment).queue(), segments_.item(*replaced).heat()};
  }

  // Writes an item, making room when there is none, but not of the segment the parts may view. It counts as live and
  // must be published next. Nothing when the policy makes no room. REQUIRES: it fits a segment, and deadline > now.
  [[nodiscard]] std::optional<Place> append(const Record& record) noexcept;
  // Enters the item just written at `place` under its key, in the place of an older one if there is any.
  void publish(const Index::Hold& hold, std::string_view key, Place place) noexcept;
  // Takes the item out. REQUIRES: it is live.
  void erase(const Index::Hold& hold, Place place) noexcept;
  // A new deadline in place. False when its grain is too fine or it is too far away for the segment, or, unless
  // `anywhere`, when it belongs to another class: its segment might keep it long after it expired.
  // REQUIRES: deadline > now.
  [[nodiscard]] bool extend(Place place, std::uint32_t deadline, bool anywhere) noexcept;
  void flush() noexcept;

  [[nodiscard]] std::uint64_t index_bytes() const noexcept { return index_.bytes(); }
  [[nodiscard]] std::uint64_t policy_bytes() const noexcept { return policy_->bytes(); }
  [[nodiscard]] std::uint32_t oldest_sec() const noexcept;
  [[nodiscard]] const SegMetrics& metrics() const noexcept { return metrics_; }
  void check_invariants() const;

  // --- for policies ---

  [[nodiscard]] Segments& segments() noexcept { return segments_; }
  [[nodiscard]] const Segments& segments() const noexcept { return segments_; }
  [[nodiscard]] bool evictable(SegmentId id) const noexcept {
    const SegmentHeader& at = segments_.header(id);
    return at.state == SegmentState::kSealed && segments_.in_use(at) && id != pinned_;
  }
  // An empty segment that takes the place of `before` and those after it. REQUIRES: one is free.
  [[nodiscard]] SegmentId take_target(SegmentId before) noexcept { return segments_.take_target(before, now_sec_); }
  // Moves a live item to the end of a target. False when it has expired (it is dead then) or the target has no room.
  bool relocate(Place from, SegmentId target, Heat heat) noexcept;
  // The same into the open main segment of its TTL class. REQUIRES: its own segment is sealed. For all items of a
  // segment together at most one new segment is needed, so one that is free is enough.
  bool relocate_to_main(Place from, Heat heat) noexcept;
  // Drops a segment whose survivors have been moved; what is left in it is evicted.
  void drop_merged(SegmentId id) noexcept;
  // The segment that was opened first, among those of the queue that may be evicted; an open one too. kNoSegment when
  // there is none.
  [[nodiscard]] SegmentId oldest(Queue queue) const noexcept;
  // The target is complete. Given back when nothing was moved to it.
  void finish_target(SegmentId id) noexcept;
  // Drops the oldest segment: a sealed one, or if there is none an open one. False when there is none at all.
  bool evict_oldest() noexcept;
  // Drops a segment. REQUIRES: it is in use.
  void evict(SegmentId id) noexcept;
  [[nodiscard]] std::uint32_t random() noexcept;
  // Joins any two neighbours whose live items fit one segment. False when there are none. Costs the number of segments,
  // but after a failure nothing until an item dies or a segment is sealed or released.
  bool compact_any() noexcept;

 private:
  static constexpr std::uint32_t kSegmentsFreeMin = 2;  // one to hand out, one to copy into
  static constexpr int kReclaimsPerTurn = 16;
  static constexpr std::uint64_t kSweepPerTurn = 32;  // buckets
  // A segment's generation may change this often within one sweep: two sweeps may pass between a slot's going stale and
  // its being cleared, and 2 * 127 < 256 values.
  static constexpr std::uint32_t kReusesPerSweepMax = 127;
  static_assert(2 * kReusesPerSweepMax < kGenerationsInSlot);
  // The sweep is pushed along with the reuses so that it is done long before.
  static constexpr std::uint64_t kReusesPerSweep = 96;
  static constexpr std::uint64_t kReusesAtLeisure = 32;  // up to here the steps of turn() do
  static constexpr std::size_t kHints = 16;

  // The segment of the chain to append to; kNoSegment when no room could be made.
  [[nodiscard]] SegmentId open_for(unsigned chain, std::uint32_t bytes, std::uint32_t deadline) noexcept;
  [[nodiscard]] SegmentId oldest_head(unsigned first_chain, unsigned chains, bool open_too) const noexcept;
  [[nodiscard]] bool takes(SegmentId id, std::uint32_t bytes, std::uint32_t deadline) const noexcept;
  [[nodiscard]] bool refill() noexcept;
  [[nodiscard]] bool reclaim() noexcept;  // one flushed or expired segment
  [[nodiscard]] bool compact_hinted() noexcept;
  [[nodiscard]] bool compact_pair(SegmentId first, SegmentId second) noexcept;
  [[nodiscard]] bool sparse(const SegmentHeader& at) const noexcept { return at.live_bytes <= sparse_bytes_; }
  void seal(SegmentId id) noexcept;
  void retire(Place place) noexcept;
  void raise_deadline(SegmentId id, std::uint32_t deadline) noexcept;
  void release(SegmentId id) noexcept;
  void sweep(std::uint64_t buckets) noexcept;
  void publish_gauges() noexcept;

  std::uint32_t now_sec_;
  Segments segments_;
  Index index_;
  ExpiryQueue expiry_queue_;
  std::unique_ptr<Policy> policy_;
  HeatKind heat_kind_;
  SegMetrics metrics_;
  SegmentId pinned_ = kNoSegment;
  std::uint32_t sparse_bytes_;  // a sealed segment with no more live bytes is worth compacting
  std::uint32_t sweeps_ = 0;
  std::uint64_t random_state_;
  std::array<SegmentId, kHints> hints_;  // a ring of segments that became sparse
  std::size_t hint_at_ = 0;
  bool nothing_to_compact_ = false;
};

}  // namespace pelikan::storage::segcache
