#include "storage/segcache/segcache.h"

#include "storage/segcache/store.h"

namespace pelikan::storage::segcache {
namespace {

Item view(const Store& store, Place place) {
  const Segments& segments = store.segments();
  const ItemHeader& item = segments.item(place);
  const std::uint32_t deadline = segments.deadline(place);
  return {.key = item.key(),
          .value = item.value(),
          .flags = item.flags(),
          .expire_at = deadline == kNever ? 0 : deadline,
          .cas = segments.cas_token(place)};
}

constexpr std::uint32_t to_deadline(std::uint32_t expire_at) noexcept { return expire_at == 0 ? kNever : expire_at; }

}  // namespace

SegCache::SegCache(const SegOptions& options, const KeyHash& hash, const Time& start)
    : store_(std::make_unique<Store>(options, hash, start)),
      value_bytes_max_(options.max_value_size()),
      evicts_(options.eviction() != "none") {}

SegCache::~SegCache() = default;

void SegCache::turn(const Time& now) noexcept { store_->turn(now); }

std::uint64_t SegCache::hash_of(const Key& key) const noexcept {
  return key.hash != 0 ? key.hash : store_->hash(key.text);
}

std::uint64_t SegCache::prefetch(std::string_view key) const noexcept {
  const std::uint64_t hash = store_->hash(key);
  store_->prefetch_bucket(hash);
  return hash;
}

void SegCache::prefetch_item(std::uint64_t hash) const noexcept { store_->prefetch_item(hash); }

std::optional<Item> SegCache::get(const Key& key) noexcept {
  const std::optional<Place> place = store_->look_up(hash_of(key), key.text);
  if (!place) return std::nullopt;
  store_->count_hit(store_->segments().item(*place));
  return view(*store_, *place);
}

std::optional<Item> SegCache::peek(const Key& key) noexcept {
  const std::optional<Place> place = store_->look_up(hash_of(key), key.text);
  if (!place) return std::nullopt;
  return view(*store_, *place);
}

WriteResult SegCache::write(const Key& key, void* context, Verdict (*decide)(void*, const Item*)) noexcept {
  using Status = WriteResult::Status;
  store_->prepare_write();
  const Index::Hold hold = store_->hold(hash_of(key));
  const std::optional<Place> place = store_->find(hold, key.text);
  const std::optional<Item> item = place ? std::optional(view(*store_, *place)) : std::nullopt;
  const Verdict verdict = decide(context, item ? &*item : nullptr);
  const std::uint64_t cas_before = item ? item->cas : 0;
  switch (verdict.kind) {
    case Verdict::Kind::kKeep: return {Status::kKept, cas_before};
    case Verdict::Kind::kErase:
      if (place) store_->erase(hold, *place);
      return {Status::kErased, 0};
    case Verdict::Kind::kStore: break;
  }
  if (!fits(key.text.size(), verdict.front.size() + verdict.back.size())) return {Status::kTooLarge, cas_before};
  const std::uint32_t deadline = to_deadline(verdict.expire_at);
  if (deadline <= store_->now_sec()) {  // stored, and gone at once
    if (place) store_->erase(hold, *place);
    return {Status::kStored, 0};
  }
  const std::optional<Place> made = store_->append({.key = key.text,
                                                    .front = verdict.front,
                                                    .back = verdict.back,
                                                    .flags = verdict.flags,
                                                    .deadline = deadline,
                                                    .start = store_->start_of(hold.hash(), place)});
  if (!made) return {Status::kNoSpace, cas_before};
  store_->publish(hold, key.text, *made);
  return {Status::kStored, store_->segments().cas_token(*made)};
}

bool SegCache::touch(const Key& key, std::uint32_t expire_at) noexcept {
  store_->prepare_write();
  const Index::Hold hold = store_->hold(hash_of(key));
  const std::optional<Place> place = store_->find(hold, key.text);
  if (!place) return false;
  const std::uint32_t deadline = to_deadline(expire_at);
  if (deadline <= store_->now_sec()) {
    store_->erase(hold, *place);
    return true;
  }
  if (store_->extend(*place, deadline, false)) return true;
  const Item item = view(*store_, *place);
  const std::optional<Place> moved = store_->append({.key = key.text,
                                                     .front = item.value,
                                                     .back = {},
                                                     .flags = item.flags,
                                                     .deadline = deadline,
                                                     .start = store_->start_of(hold.hash(), place)});
  if (!moved) return store_->extend(*place, deadline, true);
  store_->publish(hold, key.text, *moved);
  return true;
}

bool SegCache::erase(const Key& key) noexcept {
  store_->prepare_write();
  const Index::Hold hold = store_->hold(hash_of(key));
  const std::optional<Place> place = store_->find(hold, key.text);
  if (!place) return false;
  store_->erase(hold, *place);
  return true;
}

void SegCache::flush() noexcept { store_->flush(); }

bool SegCache::fits(std::size_t key_bytes, std::size_t value_bytes) const noexcept {
  return key_bytes <= kKeyBytesMax && value_bytes <= value_bytes_max_ &&
         item_bytes(key_bytes, value_bytes, true) <= store_->segments().segment_bytes();
}

std::optional<Item> SegCache::next(Cursor& cursor) const noexcept {
  const Segments& segments = store_->segments();
  for (; cursor.segment < segments.count(); ++cursor.segment, cursor.offset = 0) {
    const SegmentHeader& at = segments.header(cursor.segment);
    if (!segments.in_use(at) || at.live_items == 0) continue;
    while (cursor.offset < at.write_offset) {
      if (++cursor.scanned > kVisitScanMax) return std::nullopt;
      const Place place{cursor.segment, cursor.offset};
      const ItemHeader& item = segments.item(place);
      cursor.offset += item.total_bytes();
      if (!item.dead() && segments.deadline(place) > store_->now_sec()) return view(*store_, place);
    }
  }
  return std::nullopt;
}

Stats SegCache::stats() const noexcept {
  const Segments& segments = store_->segments();
  const SegMetrics& metrics = store_->metrics();
  return {.items = segments.live_items(),
          .live_bytes = segments.live_bytes(),
          .heap_bytes = std::uint64_t{segments.count()} * segments.segment_bytes(),
          .index_bytes = store_->index_bytes(),
          .policy_bytes = store_->policy_bytes(),
          .table_bytes = segments.count() * (sizeof(SegmentHeader) + ExpiryQueue::kEntryBytes),
          .segments = segments.count(),
          .segments_free = segments.free_count(),
          .segment_bytes = segments.segment_bytes(),
          .oldest_age_sec = store_->now_sec() - store_->oldest_sec(),
          .evicted_items = metrics.item_evict.value(),
          .expired_items = metrics.item_expire.value(),
          .stored_items = metrics.item_allocate.value(),
          .value_bytes_max = std::min<std::uint64_t>(value_bytes_max_, segments.segment_bytes()),
          .evicts = evicts_};
}

void SegCache::check_invariants() const { store_->check_invariants(); }

}  // namespace pelikan::storage::segcache
