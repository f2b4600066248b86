#include "storage/segcache/index.h"

#include <algorithm>
#include <bit>
#include <stdexcept>
#include <thread>

#include "base/check.h"
#include "base/scan.h"

namespace pelikan::storage::segcache {
namespace {

constexpr unsigned kLooksBeforeYield = 64;
constexpr std::uint32_t kFreeTag = 0;

std::size_t lowest_bit(std::uint32_t bits) noexcept { return static_cast<std::size_t>(std::countr_zero(bits)); }

// Somebody holds the chain: not for long, but he may have been put to sleep on this very processor.
[[gnu::noinline, gnu::cold]] void give_way(unsigned looks) noexcept {
  if (looks % kLooksBeforeYield == 0) std::this_thread::yield();
}

}  // namespace

Index::Index(const Segments& segments, const KeyHash& hash, std::uint64_t initial_buckets, std::uint64_t buckets_max)
    : segments_(segments),
      hash_(hash),
      shared_(segments.shared()),
      bucket_memory_(std::max(initial_buckets, buckets_max) * sizeof(Bucket), "the index",
                     initial_buckets * sizeof(Bucket)),
      overflow_memory_((buckets_max / 2 + kOverflowMax) * sizeof(Bucket), "the index"),
      buckets_(reinterpret_cast<Bucket*>(bucket_memory_.data())),
      overflow_(reinterpret_cast<Bucket*>(overflow_memory_.data())),
      buckets_max_(bucket_memory_.reserved_bytes() / sizeof(Bucket)),
      bucket_count_(initial_buckets) {
  CHECK(std::has_single_bit(initial_buckets));
  if (!bucket_memory_.commit(initial_buckets * sizeof(Bucket))) {
    throw std::runtime_error("seg.hash_power: not that much memory to be had");
  }
}

std::uint64_t Index::prefault(std::uint64_t bytes) {
  return bucket_memory_.prefault(std::max(buckets() * sizeof(Bucket), bytes / 2)) +
         overflow_memory_.prefault(bytes / 2);
}

// --- reading --------------------------------------------------------------------------------------------------------

// The second bucket of a chain can only be fetched: what is in it is not known yet. One item in seven is there.
void Index::prefetch_item(std::uint64_t hash) const noexcept {
  const Bucket& bucket = buckets_[bucket_of(hash, buckets())];
  std::uint32_t found = bucket.with_tag(Slot::tag_of(hash));
  if (found == 0 && next(bucket) != nullptr) __builtin_prefetch(next(bucket));
  for (; found != 0; found &= found - 1) segments_.prefetch(bucket.slots[lowest_bit(found)].get());
}

// No more links are followed than a chain can have: a reader may be led from one chain into another.
[[gnu::always_inline]] inline Index::Met Index::scan(const Bucket& first, std::uint32_t tag, std::string_view key,
                                                     std::uint32_t epoch) const noexcept {
  const Bucket* bucket = &first;
  for (unsigned links = 0; bucket != nullptr && links <= kOverflowMax; ++links) {
    for (std::uint32_t found = bucket->with_tag(tag); found != 0; found &= found - 1) {
      const SlotCell& cell = bucket->slots[lowest_bit(found)];
      const Slot slot = cell.get();
      if (slot.tag() == tag && segments_.current(slot, epoch) && same_text(segments_.item(slot).key(), key))
        return {&cell, slot};
    }
    bucket = next(*bucket);
  }
  return {};
}

// A slot that matches is the live version of its key, wherever it was met. That none matches says something only if no
// writer was at the chain meanwhile, and the key's chain is still this one.
Slot Index::look_up(std::uint64_t hash, std::string_view key) const noexcept {
  for (unsigned looks = 1;; ++looks) {
    const std::uint64_t count = buckets();
    const Bucket& first = buckets_[bucket_of(hash, count)];
    const std::uint32_t version = first.version.load(std::memory_order_acquire);
    const Met met = scan(first, Slot::tag_of(hash), key, segments_.epoch());
    if (met.cell != nullptr) [[likely]]
      return met.slot;
    if (!shared_ || (version % 2 == 0 && first.version.load(std::memory_order_relaxed) == version &&
                     bucket_of(hash, buckets()) == bucket_of(hash, count))) {
      return {};
    }
    give_way(looks);
  }
}

// --- holding a chain ------------------------------------------------------------------------------------------------

bool Index::try_hold(Bucket& first) noexcept {
  std::uint32_t version = first.version.load(std::memory_order_relaxed);
  return version % 2 == 0 && first.version.compare_exchange_weak(version, version + 1, std::memory_order_acquire,
                                                                 std::memory_order_relaxed);
}

void Index::hold_bucket(Bucket& first) noexcept {
  if (!shared_) return;
  for (unsigned looks = 1; !try_hold(first); ++looks) give_way(looks);
}

Bucket& Index::hold(std::uint64_t hash) noexcept {
  while (true) {
    const std::uint64_t number = bucket_of(hash, buckets());
    hold_bucket(buckets_[number]);
    if (!shared_ || bucket_of(hash, buckets()) == number) return buckets_[number];
    let_go(buckets_[number]);  // it was split meanwhile
  }
}

void Index::let_go(Bucket& first) noexcept {
  if (!shared_) return;
  first.version.store(first.version.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

// --- writing, by who holds the chain --------------------------------------------------------------------------------

SlotCell* Index::find(const Hold& hold, std::string_view key) noexcept {
  return const_cast<SlotCell*>(scan(hold.first_, Slot::tag_of(hold.hash()), key, hold.epoch()).cell);
}

SlotCell* Index::find(const Hold& hold, Slot wanted) noexcept {
  for (Bucket* bucket = &hold.first_; bucket != nullptr; bucket = next(*bucket)) {
    for (SlotCell& cell : bucket->slots) {
      if (cell.get() == wanted) return &cell;
    }
  }
  return nullptr;
}

bool Index::insert(const Hold& hold, Slot slot) noexcept {
  SlotCell* place = free_slot(hold.first_);
  if (place == nullptr) {
    Bucket* added = add_overflow(hold.first_);
    if (added == nullptr) return false;
    place = added->slots.data();
  }
  place->set(slot);
  return true;
}

SlotCell* Index::free_slot(Bucket& first) noexcept {
  for (Bucket* bucket = &first; bucket != nullptr; bucket = next(*bucket)) {
    if (const std::uint32_t found = bucket->with_tag(kFreeTag); found != 0) return &bucket->slots[lowest_bit(found)];
  }
  for (Bucket* bucket = &first; bucket != nullptr; bucket = next(*bucket)) {
    for (SlotCell& cell : bucket->slots) {
      if (!current(cell.get())) return &cell;
    }
  }
  return nullptr;
}

// An empty bucket at the end of the chain; null when the chain is as long as it may be, or the pool is used up.
Bucket* Index::add_overflow(Bucket& first) noexcept {
  unsigned length = 0;
  for (const Bucket* bucket = next(first); bucket != nullptr; bucket = next(*bucket)) ++length;
  if (length == kOverflowMax) return nullptr;
  const std::scoped_lock lock(pool_mutex_);
  std::uint32_t link = overflow_free_;
  if (link != 0) {
    overflow_free_ = overflow_[link - 1].link.load(std::memory_order_relaxed);
  } else {
    const std::uint32_t made = overflow_made_.load(std::memory_order_relaxed);
    if (!overflow_memory_.commit((std::size_t{made} + 1) * sizeof(Bucket))) return nullptr;
    link = made + 1;
    overflow_made_.store(link, std::memory_order_relaxed);
  }
  return &link_to(first, link);
}

Bucket& Index::link_to(Bucket& first, std::uint32_t link) noexcept {
  Bucket* last = &first;
  for (Bucket* following = next(first); following != nullptr; following = next(*last)) last = following;
  Bucket& added = overflow_[link - 1];
  added.clear();
  last->link.store(link, std::memory_order_release);
  return added;
}

SlotCell* Index::coldest(const Hold& hold) noexcept {
  SlotCell* coldest = nullptr;
  std::uint32_t hits_min = 0;
  for (Bucket* bucket = &hold.first_; bucket != nullptr; bucket = next(*bucket)) {
    for (SlotCell& cell : bucket->slots) {
      const std::uint32_t hits = heat_hits(segments_.item(cell.get()).heat());
      if (coldest != nullptr && hits >= hits_min) continue;
      coldest = &cell;
      hits_min = hits;
    }
  }
  return coldest;
}

// Leaves the chain empty. Its overflow buckets are kept for putting back: another thread might use up the pool.
Index::Gathered Index::gather(Bucket& first) noexcept {
  Gathered live;
  for (Bucket* bucket = &first; bucket != nullptr;) {
    for (const SlotCell& cell : bucket->slots) {
      const Slot slot = cell.get();
      if (!slot.empty() && current(slot)) live.slots[live.count++] = slot;
    }
    const std::uint32_t link = bucket->link.load(std::memory_order_relaxed);
    bucket->clear();
    if (link != 0) live.spare[live.spare_count++] = link;
    bucket = link == 0 ? nullptr : &overflow_[link - 1];
  }
  return live;
}

// Each slot to the first chain, or the second if `second` says so of its key's hash.
template <class Second>
void Index::scatter(Gathered& live, Bucket& first, Bucket& second, Second&& to_second) noexcept {
  for (std::size_t i = 0; i < live.count; ++i) {
    const Slot slot = live.slots[i];
    Bucket& chain = to_second(slot) ? second : first;
    SlotCell* place = free_slot(chain);
    if (place == nullptr) {
      CHECK(live.spare_count > 0);
      place = link_to(chain, live.spare[--live.spare_count]).slots.data();
    }
    place->set(slot);
  }
  if (live.spare_count == 0) return;
  const std::scoped_lock lock(pool_mutex_);
  while (live.spare_count > 0) {
    const std::uint32_t link = live.spare[--live.spare_count];
    overflow_[link - 1].link.store(overflow_free_, std::memory_order_relaxed);
    overflow_free_ = link;
  }
}

// --- growing and sweeping -------------------------------------------------------------------------------------------

void Index::grow(std::uint64_t items) noexcept {
  if (items <= buckets() * kItemsPerBucket || buckets() >= buckets_max_) return;
  const std::unique_lock lock(growth_mutex_, std::try_to_lock);
  if (!lock.owns_lock() || !bucket_memory_.commit((buckets() + 1) * sizeof(Bucket))) return;
  split();
}

void Index::commit_ahead() noexcept {
  const std::unique_lock growth(growth_mutex_, std::try_to_lock);
  if (!growth.owns_lock()) return;
  bucket_memory_.commit_ahead(buckets() * sizeof(Bucket));
  const std::scoped_lock pool(pool_mutex_);
  overflow_memory_.commit_ahead(overflow_made() * sizeof(Bucket));
}

bool Index::runs_short() const noexcept {
  return bucket_memory_.runs_short(buckets() * sizeof(Bucket)) ||
         overflow_memory_.runs_short(overflow_made() * sizeof(Bucket));
}

bool Index::populate() noexcept {
  return bucket_memory_.populate(buckets() * sizeof(Bucket)) ||
         overflow_memory_.populate(overflow_made() * sizeof(Bucket));
}

// Two chains never need more overflow buckets than the one they were.
void Index::split() noexcept {
  const std::uint64_t count = buckets();
  const std::uint64_t new_bit = std::bit_floor(count);
  Bucket& old_bucket = buckets_[count - new_bit];
  Bucket& new_bucket = buckets_[count];
  hold_bucket(old_bucket);
  Gathered live = gather(old_bucket);
  scatter(live, old_bucket, new_bucket, [&](Slot slot) { return (hash_(segments_.item(slot).key()) & new_bit) != 0; });
  bucket_count_.store(count + 1, std::memory_order_release);
  let_go(old_bucket);
}

bool Index::sweep(std::uint64_t buckets_to_do) noexcept {
  const std::uint64_t end = buckets();
  const std::uint64_t stop = std::min(end, sweep_at_ + buckets_to_do);
  while (sweep_at_ < stop) sweep_bucket(buckets_[sweep_at_++]);
  if (sweep_at_ < end) return false;
  sweep_at_ = 0;
  return true;
}

void Index::sweep_bucket(Bucket& first) noexcept {
  hold_bucket(first);
  if (first.link.load(std::memory_order_relaxed) != 0) {
    Gathered live = gather(first);
    scatter(live, first, first, [](Slot) { return false; });
  } else {
    for (SlotCell& cell : first.slots) {
      const Slot slot = cell.get();
      if (!slot.empty() && !current(slot)) cell.set({});
    }
  }
  let_go(first);
}

void Index::check_invariants() const {
  std::uint64_t linked = 0;
  for (std::uint64_t number = 0; number < buckets(); ++number) {
    unsigned length = 0;
    for (const Bucket* bucket = next(buckets_[number]); bucket != nullptr; bucket = next(*bucket)) ++length;
    CHECK(length <= kOverflowMax);
    linked += length;
  }
  for (std::uint32_t link = overflow_free_; link != 0; link = overflow_[link - 1].link.load(std::memory_order_relaxed))
    ++linked;
  CHECK(linked == overflow_made_.load(std::memory_order_relaxed));
  for_each_current([this](std::uint64_t number, Slot slot) {
    const std::uint64_t hash = hash_(segments_.item(slot).key());
    CHECK(bucket_of(hash, buckets()) == number);
    CHECK(Slot::tag_of(hash) == slot.tag());
  });
}

}  // namespace pelikan::storage::segcache
