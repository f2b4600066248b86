#include "storage/segcache/store.h"

#include <algorithm>
#include <bit>
#include <new>

#include "base/check.h"

namespace pelikan::storage::segcache {
namespace {

// The index never outgrows the heap: room for items of 13 bytes on average, headers included. Half as many overflow
// buckets come on top, so of a given number of bytes two thirds are for buckets.
std::uint64_t buckets_max(const SegOptions& options, const Geometry& geometry) {
  const std::uint64_t bytes = options.index_bytes_max == 0 ? geometry.heap_bytes() : options.index_bytes_max / 3 * 2;
  return bytes / sizeof(Bucket);
}

std::uint64_t initial_buckets(const SegOptions& options, const Geometry& geometry) {
  const std::uint64_t wanted = std::max<std::uint64_t>(1, (std::uint64_t{1} << options.hash_power()) / 8);
  return std::min(wanted, std::bit_floor(std::max<std::uint64_t>(1, buckets_max(options, geometry))));
}

}  // namespace

Store::Store(const SegOptions& options, const KeyHash& hash, const Time& start)
    : now_sec_(start.floor_sec),
      segments_(Geometry::from(options).segments, Geometry::from(options).segment_bytes),
      index_(segments_, hash, initial_buckets(options, Geometry::from(options)),
             buckets_max(options, Geometry::from(options)), false),
      expiry_queue_(segments_),
      policy_(make_policy(options)),
      heat_kind_(policy_->heat_kind()),
      sparse_bytes_(segments_.segment_bytes() / static_cast<std::uint32_t>(options.compact_target())),
      random_state_(hash("random") | 1) {
  hints_.fill(kNoSegment);
  publish_gauges();
}

void Store::turn(const Time& now) noexcept {
  now_sec_ = std::max(now_sec_, now.floor_sec);
  for (int i = 0; i < kReclaimsPerTurn && reclaim(); ++i) continue;
  sweep(kSweepPerTurn);
  segments_.populate();
  index_.populate();
  publish_gauges();
}

std::optional<Place> Store::look_up(std::uint64_t hash, std::string_view key) const noexcept {
  const std::optional<Slot> slot = index_.look_up(hash, key);
  if (!slot || segments_.deadline(place_of(*slot)) <= now_sec_) return std::nullopt;
  return place_of(*slot);
}

std::optional<Place> Store::find(const Index::Hold& hold, std::string_view key) noexcept {
  SlotCell* cell = index_.find(hold, key);
  if (cell == nullptr) return std::nullopt;
  const Place place = place_of(cell->get());
  if (segments_.deadline(place) > now_sec_) return place;
  cell->set({});
  metrics_.hash_remove.add();
  metrics_.item_expire.add();
  retire(place);
  return std::nullopt;
}

std::optional<Place> Store::append(const Record& record) noexcept {
  const auto bytes = static_cast<std::uint32_t>(record.bytes());
  pinned_ = segments_.segment_of(record.front.data());
  if (pinned_ == kNoSegment) pinned_ = segments_.segment_of(record.back.data());
  const unsigned chain = chain_of(record.start.queue, deadline_class(record.deadline, now_sec_));
  const SegmentId id = open_for(chain, bytes, record.deadline);
  pinned_ = kNoSegment;
  if (id == kNoSegment) return std::nullopt;

  const Place place = *segments_.append(id, bytes);
  const SegmentHeader& at = segments_.header(id);
  const std::uint32_t code = *encode_expiry(record.deadline, at.base_sec, at.shift);
  auto* item = new (&segments_.item(place))
      ItemHeader(record.key.size(), record.front.size() + record.back.size(), record.flags != 0, code);
  item->set_heat(record.start.heat);
  item->fill(record.flags, record.key, record.front, record.back);
  raise_deadline(id, decode_expiry(code, at.base_sec, at.shift));
  metrics_.item_allocate.add();
  return place;
}

bool Store::takes(SegmentId id, std::uint32_t bytes, std::uint32_t deadline) const noexcept {
  if (id == kNoSegment) return false;
  const SegmentHeader& at = segments_.header(id);
  return bytes <= segments_.segment_bytes() - at.write_offset && encode_expiry(deadline, at.base_sec, at.shift);
}

SegmentId Store::open_for(unsigned chain, std::uint32_t bytes, std::uint32_t deadline) noexcept {
  SegmentId open = segments_.open_segment(chain);
  if (takes(open, bytes, deadline)) return open;
  metrics_.segment_request.add();
  // What is full may be evicted, even if it is the only one of its class. (When nothing can be evicted it stays sealed:
  // an item that is smaller waits for room too.)
  if (open != kNoSegment) seal(open);
  if (!refill()) {
    metrics_.segment_request_failure.add();
    return kNoSegment;
  }
  metrics_.segment_request_success.add();
  // Eviction may have opened one, for items that it kept.
  open = segments_.open_segment(chain);
  if (takes(open, bytes, deadline)) return open;
  if (open != kNoSegment) seal(open);
  return segments_.open_new(chain, now_sec_);
}

bool Store::refill() noexcept {
  while (segments_.free_count() < kSegmentsFreeMin) {
    if (reclaim() || compact_hinted()) continue;
    if (!policy_->make_room(*this)) return false;
  }
  return true;
}

bool Store::reclaim() noexcept {
  SegmentId id = segments_.flushed_head();
  if (id != kNoSegment) {
    metrics_.segment_clear.add();
  } else {
    id = expiry_queue_.due(now_sec_);
    if (id == kNoSegment) return false;
    metrics_.segment_expire.add();
    metrics_.item_expire.add(segments_.header(id).live_items);
  }
  release(id);
  return true;
}

void Store::publish(const Index::Hold& hold, std::string_view key, Place place) noexcept {
  const Slot made = segments_.slot(hold.hash(), place);
  if (SlotCell* cell = index_.find(hold, key); cell != nullptr) {
    const Place old = place_of(cell->get());
    cell->set(made);
    metrics_.item_replace.add();
    retire(old);
    return;
  }
  metrics_.hash_insert.add();
  if (index_.insert(hold, made)) return;
  SlotCell* cell = index_.coldest(hold);
  const Place old = place_of(cell->get());
  cell->set(made);
  metrics_.hash_insert_ex.add();
  metrics_.item_evict.add();
  retire(old);
}

void Store::erase(const Index::Hold& hold, Place place) noexcept {
  SlotCell* cell = index_.find(hold, segments_.slot(hold.hash(), place));
  CHECK(cell != nullptr);
  cell->set({});
  metrics_.hash_remove.add();
  metrics_.item_delete.add();
  retire(place);
}

bool Store::extend(Place place, std::uint32_t deadline, bool anywhere) noexcept {
  const SegmentHeader& at = segments_.header(place.segment);
  const unsigned ttl_class = deadline_class(deadline, now_sec_);
  if (at.shift > expiry_shift(ttl_class) && deadline != kNever) return false;
  if (!anywhere && at.ttl_class() != ttl_class) return false;
  const std::optional<std::uint32_t> code = encode_expiry(deadline, at.base_sec, at.shift);
  if (!code) return false;
  segments_.item(place).set_expiry_code(*code);
  raise_deadline(place.segment, decode_expiry(*code, at.base_sec, at.shift));
  return true;
}

void Store::flush() noexcept {
  metrics_.item_flush.add(segments_.live_items());
  segments_.flush();
}

void Store::seal(SegmentId id) noexcept {
  nothing_to_compact_ = false;
  segments_.seal(id);
  const SegmentHeader& at = segments_.header(id);
  if (at.live_items == 0) {
    release(id);
  } else if (sparse(at)) {
    hints_[hint_at_++ % kHints] = id;
  }
}

// The item has no slot any more.
void Store::retire(Place place) noexcept {
  const SegmentHeader& at = segments_.header(place.segment);
  const bool was_sparse = sparse(at);
  segments_.retire(place);
  nothing_to_compact_ = false;
  if (at.state != SegmentState::kSealed) return;
  if (at.live_items == 0) {
    release(place.segment);
  } else if (!was_sparse && sparse(at)) {
    hints_[hint_at_++ % kHints] = place.segment;
  }
}

void Store::raise_deadline(SegmentId id, std::uint32_t deadline) noexcept {
  SegmentHeader& at = segments_.header(id);
  at.max_deadline = std::max(at.max_deadline, deadline);
  if (at.queue_place == kNotQueued && at.max_deadline != kNever) expiry_queue_.add(id);
}

void Store::release(SegmentId id) noexcept {
  nothing_to_compact_ = false;
  expiry_queue_.remove(id);
  segments_.release(id);
  metrics_.segment_return.add();
  SegmentHeader& at = segments_.header(id);
  if (at.sweep != sweeps_) {
    at.sweep = sweeps_;
    at.reuses = 0;
  }
  ++at.reuses;
  CHECK(at.reuses <= kReusesPerSweepMax);
  if (at.reuses <= kReusesAtLeisure) return;
  const std::uint64_t due =
      index_.buckets() * (at.reuses - kReusesAtLeisure) / (kReusesPerSweep - kReusesAtLeisure) + 1;
  if (due > index_.sweep_position()) sweep(due - index_.sweep_position());
}

void Store::sweep(std::uint64_t buckets) noexcept {
  if (!index_.sweep(buckets)) return;
  ++sweeps_;
  metrics_.hash_sweep.add();
}

std::uint32_t Store::random() noexcept {
  random_state_ ^= random_state_ << 13;
  random_state_ ^= random_state_ >> 7;
  random_state_ ^= random_state_ << 17;
  return static_cast<std::uint32_t>(random_state_ >> 16);
}

std::uint32_t Store::oldest_sec() const noexcept {
  std::uint32_t oldest = now_sec_;
  for (unsigned i = 0; i < kChains; ++i) {
    const SegmentId head = segments_.chain(i).head;
    if (head != kNoSegment) oldest = std::min(oldest, segments_.header(head).created_sec);
  }
  return oldest;
}

void Store::publish_gauges() noexcept {
  const auto set = [](metrics::Gauge& gauge, std::uint64_t value) { gauge.set(static_cast<std::int64_t>(value)); };
  set(metrics_.segment_free, segments_.free_count());
  set(metrics_.segment_current, segments_.count() - segments_.free_count());
  set(metrics_.heap_bytes, segments_.touched_bytes());
  set(metrics_.hash_bytes, index_.real_bytes());
  set(metrics_.policy_bytes, policy_->bytes());
  set(metrics_.item_current, segments_.live_items());
  set(metrics_.item_current_bytes, segments_.live_bytes());
  set(metrics_.item_dead, segments_.written_items() - segments_.live_items());
  set(metrics_.item_dead_bytes, segments_.written_bytes() - segments_.live_bytes());
}

}  // namespace pelikan::storage::segcache
