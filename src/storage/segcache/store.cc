#include "storage/segcache/store.h"

#include <algorithm>
#include <new>

#include "base/check.h"

namespace pelikan::storage::segcache {
namespace {

unsigned take_number(Shared& shared) {
  const std::scoped_lock lock(shared.room);
  CHECK(shared.stores < shared.counts.size());
  return shared.stores++;
}

}  // namespace

Store::Store(std::shared_ptr<Shared> shared)
    : shared_(std::move(shared)),
      segments_(shared_->segments),
      index_(shared_->index),
      grace_(shared_->grace),
      policy_(shared_->policy.get()),
      several_(shared_->several()),
      heat_kind_(policy_->heat_kind()),
      number_(take_number(*shared_)),
      metrics_(shared_->counts[number_].metrics),
      tally_(shared_->counts[number_].tally),
      now_sec_(shared_->now_sec.load(std::memory_order_relaxed)),
      random_state_((index_.hash("random") + number_ * 2) | 1) {
  open_.fill(kNoSegment);
  publish_gauges();
}

// --- turns ----------------------------------------------------------------------------------------------------------

Store::Room::Room(Store& store) noexcept : store_(store), outer_(store.in_room_) {
  if (outer_) return;
  store_.in_room_ = true;
  if (!store_.several_) return;
  store_.grace_.leave(store_.number_);
  store_.shared_->room.lock();
}

Store::Room::Room(Store& store, std::try_to_lock_t) noexcept : store_(store), outer_(store.in_room_) {
  if (outer_) return;
  if (store_.several_) store_.grace_.leave(store_.number_);
  store_.in_room_ = !store_.several_ || store_.shared_->room.try_lock();
}

Store::Room::~Room() {
  if (outer_) return;
  const bool held = std::exchange(store_.in_room_, false);
  if (!store_.several_) return;
  if (held) store_.shared_->room.unlock();
  store_.grace_.enter(store_.number_);
}

// Whoever finds room free does what there is to do; the others go on.
void Store::turn(const Time& now) noexcept {
  std::atomic<std::uint32_t>& clock = shared_->now_sec;
  const std::uint32_t before_sec = now_sec_;
  now_sec_ = clock.load(std::memory_order_relaxed);
  while (now_sec_ < now.floor_sec && !clock.compare_exchange_weak(now_sec_, now.floor_sec, std::memory_order_relaxed)) {
  }
  now_sec_ = std::max(now_sec_, now.floor_sec);
  // An item that died while compact_any() was looking may have been missed: for a second at most.
  if (several_ && now_sec_ != before_sec) shared_->nothing_to_compact.store(false, std::memory_order_relaxed);
  may_examine_ = false;
  if (const Room room(*this, std::try_to_lock); room.held()) work();
  work_ahead();
  if (large_due_) settle_large();
  if (several_) count_others();
  publish_gauges();
}

void Store::work() noexcept {
  settle_noted();
  segments_.collect_blocks();
  close_outdated();
  for (int i = 0; i < kReclaimsPerTurn && reclaim(); ++i) continue;
  begin_ahead();
  sweep(kSweepPerTurn);
  if (shared_->populator) shared_->populator->look();
}

// Nobody else may seal an open segment. Only sealed ones wait for their expiry; those that were flushed may leave.
void Store::close_outdated() noexcept {
  if (open_count_ == 0) return;
  for (const SegmentId id : open_) {
    if (id == kNoSegment) continue;
    const SegmentHeader& at = segments_.header(id);
    if (!segments_.in_use(at) || at.last_deadline.get() <= now_sec_) close(id);
  }
}

void Store::count_others() noexcept {
  others_live_items_ = shared_->totals().live_items - tally_.get(segments_.epoch()).live_items;
  inserts_ = 0;
}

// What the others have added since is looked up again before it can be much in an index of this size.
void Store::grow() noexcept {
  inserted_ = false;
  if (several_ && ++inserts_ * kCountOthersPart > index_.buckets()) count_others();
  index_.grow(static_cast<std::uint64_t>(std::max<std::int64_t>(0, tally_.live_items() + others_live_items_)));
}

void Store::note(SegmentId id) noexcept {
  if (noted_count_ < kNotes) noted_[noted_count_++] = id;
}

void Store::settle_if_idle() noexcept {
  if (const Room room(*this, std::try_to_lock); room.held()) settle_noted();
}

void Store::settle_noted() noexcept {
  while (noted_count_ > 0) {
    const SegmentId id = noted_[--noted_count_];
    const SegmentHeader& at = segments_.header(id);
    if (!evictable(id)) continue;
    const Amount live = at.live();
    if (live.items == 0) {
      release(id);
    } else if (sparse(live.bytes)) {
      hint(id);
    }
  }
}

// --- operations -----------------------------------------------------------------------------------------------------

std::optional<Found> Store::find(const Index::Hold& hold, std::string_view key) noexcept {
  SlotCell* cell = index_.find(hold, key);
  if (cell == nullptr) return std::nullopt;
  const Found found{cell, cell->get()};
  if (segments_.deadline(found.place()) > now_sec_) return found;
  cell->set({});
  metrics_.hash_remove.add();
  if (retire(found.place())) metrics_.item_expire.add();
  return std::nullopt;
}

bool Store::takes(SegmentId id, std::uint32_t epoch, const Wanted& wanted) const noexcept {
  if (id == kNoSegment) return false;
  const SegmentHeader& at = segments_.header(id);
  return at.epoch == epoch && segments_.has_room(id, wanted.bytes) &&
         encode_expiry(wanted.deadline, at.base_sec, at.shift);
}

Wanted Store::wanted_for(const Record& record) const noexcept {
  const bool has_flags = record.flags != 0;
  const bool large = segments_.large(record.key.size(), record.value_bytes(), has_flags);
  const std::size_t bytes = item_bytes(record.key.size(), large ? sizeof(LargeValue) : record.value_bytes(), has_flags);
  return {.queue = record.start.queue,
          .bytes = static_cast<std::uint32_t>(bytes),
          .deadline = record.deadline,
          .block_bytes = large && !record.block_of ? static_cast<std::uint32_t>(record.value_bytes()) : 0};
}

std::optional<Place> Store::append(const Index::Hold& hold, const Record& record) noexcept {
  const Wanted wanted = wanted_for(record);
  const std::uint32_t bytes = wanted.bytes;
  const SegmentId id = open_[chain_of(record.start.queue, deadline_class(record.deadline, now_sec_))];
  if (!takes(id, hold.epoch(), wanted) || !has_prepared(wanted)) return std::nullopt;
  if (record.block_of && !segments_.claim_block(*record.block_of)) return std::nullopt;

  SegmentHeader& at = segments_.header(id);
  const Place place = segments_.end_of(id);
  const std::uint32_t code = *encode_expiry(record.deadline, at.base_sec, at.shift);
  const bool large = wanted.block_bytes != 0 || record.block_of;
  auto* item = new (&segments_.item(place))
      ItemHeader(record.key.size(), large ? ItemHeader::kLarge : record.value_bytes(), record.flags != 0, code);
  item->set_heat(record.start.heat);
  if (large) {
    const LargeValue value = record.block_of ? segments_.item(*record.block_of).large_value() : fill_prepared(record);
    item->fill(record.flags, record.key, value.stored(), {});
    segments_.wrote_large(place);
    large_due_ = true;
  } else {
    item->fill(record.flags, record.key, record.front, record.back);
  }
  at.last_deadline.raise(decode_expiry(code, at.base_sec, at.shift), several_);
  segments_.wrote(place, bytes);
  appended_bytes_ += bytes;
  count(at, {.live_items = 1, .live_bytes = bytes, .written_items = 1, .written_bytes = bytes});
  metrics_.item_allocate.add();
  return place;
}

void Store::publish(const Index::Hold& hold, const std::optional<Found>& older, Place place) noexcept {
  const Slot made = segments_.slot(hold.hash(), place);
  if (older) {
    older->cell->set(made);
    if (retire(older->place())) metrics_.item_replace.add();
    return;
  }
  metrics_.hash_insert.add();
  inserted_ = true;
  if (index_.insert(hold, made)) return;
  SlotCell* cell = index_.coldest(hold);
  const Place coldest = place_of(cell->get());
  cell->set(made);
  metrics_.hash_insert_ex.add();
  if (retire(coldest)) metrics_.item_evict.add();
}

void Store::erase(const Found& found) noexcept {
  found.cell->set({});
  metrics_.hash_remove.add();
  if (retire(found.place())) metrics_.item_delete.add();
}

bool Store::extend(Place place, std::uint32_t deadline, bool anywhere) noexcept {
  SegmentHeader& at = segments_.header(place.segment);
  const unsigned ttl_class = deadline_class(deadline, now_sec_);
  if (at.shift > expiry_shift(ttl_class) && deadline != kNever) return false;
  if (!anywhere && at.ttl_class() != ttl_class) return false;
  const std::optional<std::uint32_t> code = encode_expiry(deadline, at.base_sec, at.shift);
  if (!code || !at.last_deadline.raise(decode_expiry(*code, at.base_sec, at.shift), several_)) return false;
  segments_.item(place).set_expiry_code(*code, several_);
  return true;
}

void Store::flush() noexcept {
  const Room room(*this);
  metrics_.item_flush.add(static_cast<std::uint64_t>(shared_->totals().live_items));
  segments_.flush();
}

// The item has no slot any more. False when its segment was released meanwhile, and the item counted with it.
bool Store::retire(Place place) noexcept {
  if (!drop(place)) return false;
  if (shared_->nothing_to_compact.load(std::memory_order_relaxed)) {
    shared_->nothing_to_compact.store(false, std::memory_order_relaxed);
  }
  const SegmentHeader& at = segments_.header(place.segment);
  if (!at.sealed()) return true;
  const Amount live = at.live();
  const bool was_sparse = sparse(live.bytes + segments_.item(place).total_bytes());
  if (live.items == 0 || (!was_sparse && sparse(live.bytes))) note(place.segment);
  return true;
}

// The block of a large item goes too, unless another item has claimed it.
bool Store::drop(Place place) noexcept {
  const ItemHeader& item = segments_.item(place);
  if (item.large() && segments_.claim_block(place)) note_block(item);
  if (!segments_.retire(place)) return false;
  count(segments_.header(place.segment), {.live_items = -1, .live_bytes = -std::int64_t{item.total_bytes()}});
  return true;
}

void Store::count(const SegmentHeader& at, const Totals& change) noexcept { tally_.add(at.epoch, change); }

std::uint32_t Store::random() noexcept {
  random_state_ ^= random_state_ << 13;
  random_state_ ^= random_state_ >> 7;
  random_state_ ^= random_state_ << 17;
  return static_cast<std::uint32_t>(random_state_ >> 16);
}

void Store::publish_gauges() noexcept {
  const auto set = [](metrics::Gauge& gauge, auto value) { gauge.set(static_cast<std::int64_t>(value)); };
  const Totals own = tally_.get(segments_.epoch());
  set(metrics_.item_current, own.live_items);
  set(metrics_.item_current_bytes, own.live_bytes);
  set(metrics_.item_dead, own.written_items - own.live_items);
  set(metrics_.item_dead_bytes, own.written_bytes - own.live_bytes);
  if (number_ != 0) return;  // what is one for all
  set(metrics_.segment_free, segments_.free_count());
  set(metrics_.segment_current, segments_.count() - segments_.free_count() - segments_.lent_count());
  set(metrics_.segment_lent, segments_.lent_count());
  set(metrics_.item_large, segments_.large_items());
  set(metrics_.item_large_bytes, segments_.large_bytes());
  set(metrics_.heap_bytes, segments_.real_bytes());
  set(metrics_.hash_bytes, index_.real_bytes());
  set(metrics_.policy_bytes, policy_->bytes());
}

}  // namespace pelikan::storage::segcache
