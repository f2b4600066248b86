#include "storage/segcache/segcache.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "base/check.h"
#include "storage/segcache/store.h"

namespace pelikan::storage::segcache {
namespace {

// Made word by word in the place where it is wanted: what copies two words at once waits until both have been stored.
[[gnu::always_inline]] inline void view(const Located& found, std::optional<Item>& made) noexcept {
  const ItemHeader::Content content = found.item.content();
  Item& item = made.emplace();
  item.key = {content.key.data(), content.key.size()};
  item.value = ItemHeader::value_of(content);
  item.flags = content.flags;
  item.expire_at = found.deadline == kNever ? 0 : found.deadline;
  item.cas = found.cas_token();
}

// A thread may have several classes of items under way, while the others' segments are full of what is worth keeping.
constexpr unsigned kSegmentsPerThreadMin = 16;

// Whether `part` is a part of `whole`.
bool views(std::string_view part, std::string_view whole) noexcept {
  return std::greater_equal<>()(part.data(), whole.data()) && std::less<>()(part.data(), whole.data() + whole.size());
}

constexpr std::uint32_t to_deadline(std::uint32_t expire_at) noexcept { return expire_at == 0 ? kNever : expire_at; }

}  // namespace

SegCache::SegCache(const SegOptions& options, const KeyHash& hash, const Time& start, unsigned threads)
    : store_(std::make_unique<Store>(std::make_shared<Shared>(options, hash, start.floor_sec, threads))),
      value_bytes_max_(options.max_value_size()),
      evicts_(options.eviction() != "none") {
  CHECK(threads == 1 || shareable(options, threads));
}

SegCache::SegCache(const SegCache& first, std::unique_ptr<Store> store)
    : store_(std::move(store)), value_bytes_max_(first.value_bytes_max_), evicts_(first.evicts_) {}

bool SegCache::shareable(const SegOptions& options, unsigned threads) {
  return Geometry::from(options).segments >= threads * kSegmentsPerThreadMin;
}

std::unique_ptr<SegCache> SegCache::share() const {
  return std::unique_ptr<SegCache>(new SegCache(*this, std::make_unique<Store>(store_->shared())));
}

SegCache::~SegCache() = default;

void SegCache::turn(const Time& now) noexcept { store_->turn(now); }

void SegCache::rest() noexcept { store_->rest(); }

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
  std::optional<Item> item;
  store_->look_up(hash_of(key), key.text, [&](const Located& found) {
    store_->count_hit(found.item);
    view(found, item);
  });
  return item;
}

std::optional<Item> SegCache::peek(const Key& key) noexcept {
  std::optional<Item> item;
  store_->look_up(hash_of(key), key.text, [&](const Located& found) { view(found, item); });
  return item;
}

// A write that is tried until there is room for it, each time from the beginning.
struct SegCache::Attempt {
  const Key& key;
  std::uint64_t hash;
  std::optional<Start> start_of_new = {};  // asked for once: the policy forgets what it was asked about
  Wanted wanted = {};

  // Under the hold: writes the item in the place of the older one, if there is any.
  std::optional<Place> append(Store& store, const Index::Hold& hold, const std::optional<Found>& older,
                              Record& record) noexcept;
};

WriteResult SegCache::write(const Key& key, void* context, Decide decide) noexcept {
  Attempt attempt{.key = key, .hash = hash_of(key)};
  while (true) {
    const std::optional<WriteResult> result = try_write(attempt, context, decide);
    store_->settle();
    if (!result && store_->open_for(attempt.wanted)) continue;
    store_->give_up_prepared();
    if (result) return *result;
    const std::optional<Item> kept = peek(Key(key.text, attempt.hash));
    return {WriteResult::Status::kNoSpace, kept ? kept->cas : 0};
  }
}

std::optional<WriteResult> SegCache::try_write(Attempt& attempt, void* context, Decide decide) noexcept {
  using Status = WriteResult::Status;
  const Index::Hold hold = store_->hold(attempt.hash);
  const std::optional<Found> found = store_->find(hold, attempt.key.text);
  std::optional<Item> item;
  if (found) view(store_->segments().locate(found->place()), item);
  const Verdict verdict = decide(context, item ? &*item : nullptr);
  const std::uint64_t cas_before = item ? item->cas : 0;
  switch (verdict.kind) {
    case Verdict::Kind::kKeep: return WriteResult{Status::kKept, cas_before};
    case Verdict::Kind::kErase:
      if (found) store_->erase(*found);
      return WriteResult{Status::kErased, 0};
    case Verdict::Kind::kStore: break;
  }
  if (!fits(attempt.key.text.size(), verdict.front.size() + verdict.back.size())) {
    return WriteResult{Status::kTooLarge, cas_before};
  }
  const std::uint32_t deadline = to_deadline(verdict.expire_at);
  if (deadline <= store_->now_sec()) {  // stored, and gone at once
    if (found) store_->erase(*found);
    return WriteResult{Status::kStored, 0};
  }
  Record record{.key = attempt.key.text,
                .front = verdict.front,
                .back = verdict.back,
                .flags = verdict.flags,
                .deadline = deadline};
  const std::optional<Place> made = attempt.append(*store_, hold, found, record);
  if (!made) return std::nullopt;
  return WriteResult{Status::kStored, store_->segments().cas_token(*made)};
}

std::optional<Place> SegCache::Attempt::append(Store& store, const Index::Hold& hold, const std::optional<Found>& older,
                                               Record& record) noexcept {
  if (!older && !start_of_new) start_of_new = store.start_of_new(hash);
  record.start = older ? store.start_of_next(older->place()) : *start_of_new;
  const std::optional<Place> made = store.append(hold, record);
  if (made) {
    store.publish(hold, older, *made);
    return made;
  }
  wanted = store.wanted_for(record);
  if (older) {
    const std::string_view before = store.segments().item(older->place()).value();
    wanted.keep = older->place().segment;
    wanted.keep_is_read = views(record.front, before) || views(record.back, before);
  }
  return made;
}

bool SegCache::touch(const Key& key, std::uint32_t expire_at) noexcept {
  Attempt attempt{.key = key, .hash = hash_of(key)};
  bool anywhere = false;  // there is no room to write it anew
  while (true) {
    const std::optional<bool> result = try_touch(attempt, to_deadline(expire_at), anywhere);
    store_->settle();
    if (result) return *result;
    anywhere = !store_->open_for(attempt.wanted);
  }
}

std::optional<bool> SegCache::try_touch(Attempt& attempt, std::uint32_t deadline, bool anywhere) noexcept {
  const Index::Hold hold = store_->hold(attempt.hash);
  const std::optional<Found> found = store_->find(hold, attempt.key.text);
  if (!found) return false;
  if (deadline <= store_->now_sec()) {
    store_->erase(*found);
    return true;
  }
  if (store_->extend(found->place(), deadline, anywhere)) return true;
  if (anywhere) return false;
  const Located older = store_->segments().locate(found->place());
  std::optional<Item> item;
  view(older, item);
  Record record{.key = attempt.key.text,
                .front = item->value,
                .back = {},
                .flags = item->flags,
                .deadline = deadline,
                .block_of = older.item.large() ? std::optional(found->place()) : std::nullopt};
  if (attempt.append(*store_, hold, found, record)) return true;
  return std::nullopt;
}

bool SegCache::erase(const Key& key) noexcept {
  const bool erased = try_erase(key);
  store_->settle();
  return erased;
}

bool SegCache::try_erase(const Key& key) noexcept {
  const Index::Hold hold = store_->hold(hash_of(key));
  const std::optional<Found> found = store_->find(hold, key.text);
  if (!found) return false;
  store_->erase(*found);
  return true;
}

void SegCache::flush() noexcept { store_->flush(); }

bool SegCache::fits(std::size_t key_bytes, std::size_t value_bytes) const noexcept {
  return value_bytes <= value_bytes_max_ && store_->fits(key_bytes, value_bytes);
}

std::optional<Item> SegCache::next(Cursor& cursor) const noexcept {
  std::optional<Item> item;
  const Segments& segments = store_->segments();
  for (; cursor.segment < segments.count(); ++cursor.segment, cursor.offset = 0) {
    const SegmentHeader& at = segments.header(cursor.segment);
    if (!segments.in_use(at)) continue;
    const std::uint32_t end = at.written().bytes;
    while (cursor.offset < end) {
      if (++cursor.scanned > kVisitScanMax) return item;
      const Located found = segments.locate({cursor.segment, cursor.offset});
      cursor.offset += found.item.total_bytes();
      if (found.item.dead() || found.deadline <= store_->now_sec()) continue;
      view(found, item);
      return item;
    }
  }
  return item;
}

Stats SegCache::stats() const noexcept {
  const Shared& shared = *store_->shared();
  const Segments& segments = shared.segments;
  const Totals totals = shared.totals();
  Stats stats{
      .items = static_cast<std::uint64_t>(std::max<std::int64_t>(0, totals.live_items)),
      .live_bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(0, totals.live_bytes)) + segments.large_bytes(),
      .heap_bytes = std::uint64_t{segments.count()} * segments.segment_bytes(),
      .index_bytes = shared.index.bytes(),
      .policy_bytes = shared.policy->bytes(),
      .table_bytes = segments.count() * (sizeof(SegmentHeader) + ExpiryQueue::kEntryBytes),
      .segments = segments.count(),
      .segments_free = segments.free_count(),
      .segment_bytes = segments.segment_bytes(),
      .oldest_age_sec = store_->now_sec() - store_->oldest_sec(),
      .value_bytes_max = std::min<std::uint64_t>(value_bytes_max_, store_->value_bytes_possible()),
      .large_items = segments.large_items(),
      .large_bytes = segments.large_bytes(),
      .prefault_bytes = shared.prefault_bytes,
      .evicts = evicts_};
  for (const Shared::Counts& one : shared.counts) {
    stats.evicted_items += one.metrics.item_evict.value();
    stats.expired_items += one.metrics.item_expire.value();
    stats.stored_items += one.metrics.item_allocate.value();
  }
  return stats;
}

void SegCache::check_invariants() const { store_->check_invariants(); }

}  // namespace pelikan::storage::segcache
