// One thread's part of a storage, and what keeps segments, index and expiry in step: every item that is not dead, in a
// segment that is in use, has exactly one slot in the index. SegCache is the face of it towards protocols, a Policy is
// its guest when room is short.
//
// Owner:   SegCache. Threads: one each; what they share is in shared.h.
// A write: hold the chain; find; append to an open segment of this thread and publish; let go; settle. When there is no
//          room to append: let go, open_for(), and from the beginning.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "storage/segcache/shared.h"

namespace pelikan::storage::segcache {

// How an item begins: what it inherits from the version it replaces, or what the policy gives to a new one.
struct Start {
  Queue queue = Queue::kMain;
  Heat heat = 0;
};

// An item to be written. The parts may view an item in the cache.
struct Record {
  std::string_view key;
  std::string_view front;  // the value is front + back
  std::string_view back;
  std::uint32_t flags = 0;
  std::uint32_t deadline = kNever;
  Start start = {};
  std::optional<Place> block_of = {};  // the value is the block of this item, which the new one replaces

  [[nodiscard]] std::size_t value_bytes() const noexcept { return front.size() + back.size(); }
};

// What an open segment must have room for.
struct Wanted {
  Queue queue = Queue::kMain;
  std::uint32_t bytes = 0;  // of its segment
  std::uint32_t deadline = kNever;
  std::uint32_t block_bytes = 0;  // of a value that needs a block; 0: none
  SegmentId keep = kNoSegment;    // is not evicted for it: the version that it follows is there
  bool keep_is_read = false;      // else it may go when there is no other way to find room for a block
};

// An item in the index, for as long as its chain is held.
struct Found {
  SlotCell* cell;
  Slot slot;

  [[nodiscard]] Place place() const noexcept { return place_of(slot); }
};

class Store {
 public:
  // A thread's first call. REQUIRES: fewer stores than `shared` has room for.
  explicit Store(std::shared_ptr<Shared> shared);

  // --- for SegCache ---

  [[nodiscard]] const std::shared_ptr<Shared>& shared() const noexcept { return shared_; }
  void turn(const Time& now) noexcept;
  void rest() noexcept { grace_.leave(number_); }
  // As of the last turn() or hold().
  [[nodiscard]] std::uint32_t now_sec() const noexcept { return now_sec_; }
  [[nodiscard]] std::uint64_t hash(std::string_view key) const noexcept { return index_.hash(key); }
  void prefetch_bucket(std::uint64_t hash) const noexcept { index_.prefetch_bucket(hash); }
  void prefetch_item(std::uint64_t hash) const noexcept { index_.prefetch_item(hash); }
  // Calls f(const Located&) on the live item with that key, if there is one.
  template <class F>
  void look_up(std::uint64_t hash, std::string_view key, F&& f) const noexcept {
    const Slot slot = index_.look_up(hash, key);
    if (slot.empty()) return;
    const Located found = segments_.locate(place_of(slot));
    if (found.deadline > shared_->now_sec.load(std::memory_order_relaxed)) f(found);
  }
  void count_hit(ItemHeader& item) noexcept {
    const auto after = [this](Heat heat) {
      return heat_kind_ == HeatKind::kRounds ? heat_after_hit(heat)
                                             : heat_after_hit(heat, now_sec_, [this] { return random(); });
    };
    item.count_hit(after, several_);
  }
  // How an item begins whose key is not in the cache.
  [[nodiscard]] Start start_of_new(std::uint64_t hash) noexcept { return {policy_->queue_for_new(hash), 0}; }
  [[nodiscard]] Start start_of_next(Place before) const noexcept {
    return {segments_.header(before.segment).queue(), segments_.item(before).heat()};
  }

  [[nodiscard]] Index::Hold hold(std::uint64_t hash) noexcept {
    now_sec_ = shared_->now_sec.load(std::memory_order_relaxed);
    return {index_, hash};
  }
  // As look_up(). An item that has expired is taken out on the way.
  [[nodiscard]] std::optional<Found> find(const Index::Hold& hold, std::string_view key) noexcept;
  // Whether such an item can be stored: in a segment, or its value in a block.
  [[nodiscard]] bool fits(std::size_t key_bytes, std::size_t value_bytes) const noexcept {
    return key_bytes <= kKeyBytesMax &&
           (!segments_.large(key_bytes, value_bytes, true) || segments_.lent_for(value_bytes) <= shared_->lent_max);
  }
  // The largest value that may fit, with a short key.
  [[nodiscard]] std::uint64_t value_bytes_possible() const noexcept {
    return std::max<std::uint64_t>(segments_.segment_bytes(), segments_.block_bytes_max(shared_->lent_max));
  }
  // What it needs.
  [[nodiscard]] Wanted wanted_for(const Record& record) const noexcept;
  // Writes an item into an open segment. It counts as live and must be published next. Nothing when there is none with
  // room, or no block for its value, or Record::block_of is just being evicted: open_for(), then.
  // REQUIRES: fits(), and deadline > now.
  [[nodiscard]] std::optional<Place> append(const Index::Hold& hold, const Record& record) noexcept;
  // Enters the item just written at `place` under its key, in the place of the older one if there is any.
  void publish(const Index::Hold& hold, const std::optional<Found>& older, Place place) noexcept;
  // Takes the item out.
  void erase(const Found& found) noexcept;
  // A new deadline in place. False when its grain is too fine or it is too far away for the segment, or, unless
  // `anywhere`, when it belongs to another class: its segment might keep it long after it expired.
  // REQUIRES: its chain is held, and deadline > now.
  [[nodiscard]] bool extend(Place place, std::uint32_t deadline, bool anywhere) noexcept;
  // After a hold: growth of the index, segments that writing has emptied, and blocks of items that are gone.
  // REQUIRES: no view is needed any more.
  void settle() noexcept {
    if (inserted_) grow();
    if (noted_count_ > 0) settle_if_idle();
    if (large_due_) settle_large();
  }
  // Opens a segment for such an item and prepares a block, making room when there is none. False when the policy makes
  // no room. REQUIRES: no hold, and no view is needed any more.
  [[nodiscard]] bool open_for(const Wanted& wanted) noexcept;
  // What open_for() has prepared is not wanted any more. REQUIRES: as open_for().
  void give_up_prepared() noexcept {
    if (prepared_.lent != kNoSegment) give_up_block();
  }
  void flush() noexcept;
  // The time since which the oldest segment in use exists.
  [[nodiscard]] std::uint32_t oldest_sec() noexcept;

  // REQUIRES: all threads are still.
  void check_invariants() const;

  // --- for policies; under room, but where it says "any" ---

  [[nodiscard]] Segments& segments() noexcept { return segments_; }
  [[nodiscard]] const Segments& segments() const noexcept { return segments_; }
  [[nodiscard]] std::uint64_t live_bytes() const noexcept {
    return static_cast<std::uint64_t>(shared_->totals().live_bytes) + segments_.large_bytes();
  }
  // Whether a large item may lie there with those that are there already.
  [[nodiscard]] bool goes_together(SegmentId target, const ItemHeader& item) const noexcept {
    const std::uint32_t lent = segments_.header(target).lent_segments();
    return lent == 0 || lent + segments_.lent_for(item) <= shared_->lent_together;
  }
  [[nodiscard]] bool evictable(SegmentId id) const noexcept {
    const SegmentHeader& at = segments_.header(id);
    return at.sealed() && segments_.in_use(at) && id != kept_;
  }
  // An empty segment that takes the place of `before` and those after it; kNoSegment when no thread lets go of one.
  [[nodiscard]] SegmentId take_target(SegmentId before) noexcept;
  // The segment that this thread examines; any.
  [[nodiscard]] Examination& examination() noexcept { return examination_; }
  // Seals it, if it is open, and keeps the others from it. REQUIRES: oldest() named it.
  void take_for_examination(SegmentId id) noexcept;
  // Drops it, and what was not moved out of it; any.
  void end_examination() noexcept;
  [[nodiscard]] bool keeps(SegmentId id) const noexcept { return id == kept_; }
  // Moves a live item to the end of a target. False when it has expired (it is dead then), when the target has no room,
  // or when it is no longer in the cache.
  bool relocate(Place from, SegmentId target, Heat heat) noexcept;
  // The same into this thread's open main segment of the item's TTL class; any. REQUIRES: it examines the item's
  // segment. For all items of a segment together at most one new segment is needed.
  bool relocate_to_main(Place from, Heat heat) noexcept;
  // Drops a segment whose survivors have been moved; what is left in it is evicted.
  void drop_merged(SegmentId id) noexcept;
  // The segment that was opened first, among those of the queue that may be evicted; an open one of this thread, too.
  // kNoSegment when there is none.
  [[nodiscard]] SegmentId oldest(Queue queue) const noexcept;
  // Nothing is appended to it any more.
  void close(SegmentId id) noexcept;
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
  static constexpr int kReclaimsPerTurn = 16;
  static constexpr std::uint64_t kSweepPerTurn = 32;  // buckets
  // A segment's generation may change this often within one sweep: two sweeps may pass between a slot's going stale and
  // its being cleared, and 2 * 127 < 256 values.
  static constexpr std::uint32_t kReusesPerSweepMax = 127;
  static_assert(2 * kReusesPerSweepMax < kGenerationsInSlot);
  // The sweep is pushed along with the reuses so that it is done long before.
  static constexpr std::uint64_t kReusesPerSweep = 96;
  static constexpr std::uint64_t kReusesAtLeisure = 32;  // up to here the steps of turn() do
  static constexpr std::size_t kNotes = 16;
  static constexpr int kGraceWaitMaxMs = 100;  // of one write, for all that it needs
  static constexpr int kLargeWaitMaxMs = 1000;
  static constexpr int kSettleWaitMs = 10;
  static constexpr std::uint64_t kCountOthersPart = 4;
  // Ahead of need: for each byte written three are looked through, of which more than one is given up; and a little
  // even when nothing is written.
  static constexpr std::uint32_t kAheadPart = 3;
  static constexpr std::uint32_t kAheadBytesMin = 8 * 1024;
  static constexpr std::uint32_t kAheadBytesMax = 1024 * 1024;

  // Room, for as long as this lives, or an outer one. The thread reads nothing meanwhile but what room protects, and so
  // keeps nobody who waits for readers waiting. REQUIRES: no view is needed any more.
  class Room {
   public:
    explicit Room(Store& store) noexcept;
    // Not if another thread has it.
    Room(Store& store, std::try_to_lock_t) noexcept;
    ~Room();
    Room(const Room&) = delete;
    Room& operator=(const Room&) = delete;
    [[nodiscard]] bool held() const noexcept { return store_.in_room_; }

   private:
    Store& store_;
    const bool outer_;
  };

  void work() noexcept;
  void begin_ahead() noexcept;
  void work_ahead() noexcept;
  void close_outdated() noexcept;
  void count_others() noexcept;
  void grow() noexcept;
  void settle_if_idle() noexcept;
  void settle_noted() noexcept;
  void note(SegmentId id) noexcept;
  void hint(SegmentId id) noexcept;
  [[nodiscard]] std::uint32_t segments_free_min() const noexcept { return shared_->segments_free_min(); }
  [[nodiscard]] bool takes(SegmentId id, std::uint32_t epoch, const Wanted& wanted) const noexcept;
  [[nodiscard]] SegmentId open_new(unsigned chain) noexcept;
  void limit_open() noexcept;
  [[nodiscard]] bool wait_ready(std::uint32_t wanted = 1) noexcept;
  [[nodiscard]] bool open_or_none(const Wanted& wanted) noexcept;
  [[nodiscard]] bool open_under_room(const Wanted& wanted) noexcept;
  [[nodiscard]] bool refill(const Wanted& wanted) noexcept;
  [[nodiscard]] bool refill_keeping(SegmentId keep, std::uint32_t lent) noexcept;
  // Large items: store_large.cc.
  [[nodiscard]] bool has_prepared(const Wanted& wanted) const noexcept;
  [[nodiscard]] bool prepare(const Wanted& wanted) noexcept;
  [[nodiscard]] LargeValue fill_prepared(const Record& record) noexcept;
  void note_block(const ItemHeader& item) noexcept;
  void note_blocks_of(SegmentId id) noexcept;
  void give_back_noted() noexcept;
  void give_back_prepared() noexcept;
  void give_up_block() noexcept;
  [[nodiscard]] bool others_keep_blocks(const Wanted& wanted) noexcept;
  void wait_for_others(std::uint32_t settled) noexcept;
  void set_under_way(std::uint32_t lent) noexcept;
  void settle_large() noexcept;
  void seal_large() noexcept;
  [[nodiscard]] bool reclaim() noexcept;  // one flushed or expired segment
  [[nodiscard]] SegmentId oldest_head(unsigned first_chain, unsigned chains, bool open_too) const noexcept;
  [[nodiscard]] bool droppable(SegmentId id, bool open_too) const noexcept;
  [[nodiscard]] bool compact_hinted() noexcept;
  [[nodiscard]] bool compact_pair(SegmentId first, SegmentId second) noexcept;
  [[nodiscard]] bool sparse(std::uint32_t live_bytes) const noexcept { return live_bytes <= shared_->sparse_bytes; }
  // Somebody else writes to it or examines it.
  [[nodiscard]] bool foreign(const SegmentHeader& at) const noexcept {
    return at.owner != number_ && (at.open() || at.examined());
  }
  void seal(SegmentId id) noexcept;
  bool retire(Place place) noexcept;
  bool drop(Place place) noexcept;
  void count(const SegmentHeader& at, const Totals& change) noexcept;
  Amount release(SegmentId id) noexcept;
  void sweep(std::uint64_t buckets) noexcept;
  void publish_gauges() noexcept;

  std::shared_ptr<Shared> shared_;
  Segments& segments_;
  Index& index_;
  Grace& grace_;
  Policy* policy_;
  const bool several_;
  const HeatKind heat_kind_;
  const unsigned number_;  // of this thread
  SegMetrics& metrics_;
  Tally& tally_;
  std::uint32_t now_sec_;
  std::int64_t others_live_items_ = 0;  // as of the last count_others()
  std::uint64_t inserts_ = 0;           // since then
  std::array<SegmentId, kChains> open_;
  std::uint32_t open_count_ = 0;
  SegmentId kept_ = kNoSegment;          // Wanted::keep of the present open_for()
  std::array<SegmentId, kNotes> noted_;  // sealed segments that became sparse or empty
  std::size_t noted_count_ = 0;
  bool inserted_ = false;
  bool large_due_ = false;            // large items were written or went: settle_large()
  LargeValue prepared_;               // the block for what is written next; lent == kNoSegment: none
  std::uint32_t under_way_ = 0;       // this thread's part of Shared::lent_under_way
  SegmentId gone_ = kNoSegment;       // blocks of items that are gone, linked by `prev` of their first lent segments
  std::uint64_t appended_bytes_ = 0;  // since the last work_ahead()
  Examination examination_;
  bool in_room_ = false;
  bool may_wait_ = false;     // for readers, here and now
  bool may_examine_ = false;  // in this turn: there is a segment to move items to
  std::uint64_t random_state_;
};

}  // namespace pelikan::storage::segcache
