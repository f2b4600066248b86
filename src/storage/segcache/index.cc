#include "storage/segcache/index.h"

#include <algorithm>
#include <bit>
#include <stdexcept>

#include "base/check.h"

namespace pelikan::storage::segcache {

Index::Index(const Segments& segments, const KeyHash& hash, std::uint64_t initial_buckets, std::uint64_t buckets_max)
    : segments_(segments),
      hash_(hash),
      bucket_memory_(std::max(initial_buckets, buckets_max) * sizeof(Bucket), "the index"),
      overflow_memory_((buckets_max / 2 + kOverflowMax) * sizeof(Bucket), "the index"),
      buckets_(reinterpret_cast<Bucket*>(bucket_memory_.data())),
      overflow_(reinterpret_cast<Bucket*>(overflow_memory_.data())),
      buckets_max_(bucket_memory_.reserved_bytes() / sizeof(Bucket)),
      low_buckets_(initial_buckets) {
  CHECK(std::has_single_bit(initial_buckets));
  if (!bucket_memory_.commit(initial_buckets * sizeof(Bucket))) {
    throw std::runtime_error("seg.hash_power: not that much memory to be had");
  }
}

// The second bucket of a chain can only be fetched: what is in it is not known yet. One item in seven is there.
void Index::prefetch_item(std::uint64_t hash) const noexcept {
  const std::uint32_t tag = Slot::tag_of(hash);
  const Bucket& bucket = buckets_[bucket_of(hash)];
  bool found = false;
  for (const Slot slot : bucket.slots) {
    if (slot.tag() != tag) continue;
    segments_.prefetch(slot);
    found = true;
  }
  if (!found && bucket.link != 0) __builtin_prefetch(next(bucket));
}

Slot* Index::find(std::uint64_t hash, std::string_view key) noexcept {
  const std::uint32_t tag = Slot::tag_of(hash);
  for (Bucket* bucket = &buckets_[bucket_of(hash)]; bucket != nullptr; bucket = next(*bucket)) {
    for (Slot& slot : bucket->slots) {
      if (slot.tag() == tag && segments_.current(slot) && segments_.item(slot).key() == key) return &slot;
    }
  }
  return nullptr;
}

Slot* Index::find(std::uint64_t hash, Slot wanted) noexcept {
  for (Bucket* bucket = &buckets_[bucket_of(hash)]; bucket != nullptr; bucket = next(*bucket)) {
    for (Slot& slot : bucket->slots) {
      if (slot == wanted) return &slot;
    }
  }
  return nullptr;
}

bool Index::insert(std::uint64_t hash, Slot slot) noexcept {
  Bucket& first = buckets_[bucket_of(hash)];
  Slot* place = free_slot(first);
  if (place == nullptr) {
    Bucket* added = add_overflow(first);
    if (added == nullptr) return false;
    place = added->slots.data();
  }
  *place = slot;
  return true;
}

Slot* Index::free_slot(Bucket& first) noexcept {
  for (Bucket* bucket = &first; bucket != nullptr; bucket = next(*bucket)) {
    for (Slot& slot : bucket->slots) {
      if (slot.empty()) return &slot;
    }
  }
  for (Bucket* bucket = &first; bucket != nullptr; bucket = next(*bucket)) {
    for (Slot& slot : bucket->slots) {
      if (!segments_.current(slot)) return &slot;
    }
  }
  return nullptr;
}

// An empty bucket at the end of the chain; null when the chain is as long as it may be, or the pool is used up.
Bucket* Index::add_overflow(Bucket& first) noexcept {
  Bucket* last = &first;
  unsigned length = 0;
  while (last->link != 0) {
    last = next(*last);
    ++length;
  }
  if (length == kOverflowMax) return nullptr;
  std::uint32_t link = overflow_free_;
  if (link != 0) {
    overflow_free_ = overflow_[link - 1].link;
  } else {
    if (!overflow_memory_.commit((std::size_t{overflow_made_} + 1) * sizeof(Bucket))) return nullptr;
    link = ++overflow_made_;
  }
  last->link = link;
  Bucket* added = &overflow_[link - 1];
  *added = Bucket{};
  return added;
}

Slot* Index::coldest(std::uint64_t hash) noexcept {
  Slot* coldest = nullptr;
  std::uint32_t hits_min = 0;
  for (Bucket* bucket = &buckets_[bucket_of(hash)]; bucket != nullptr; bucket = next(*bucket)) {
    for (Slot& slot : bucket->slots) {
      const std::uint32_t hits = heat_hits(segments_.item(slot).heat());
      if (coldest != nullptr && hits >= hits_min) continue;
      coldest = &slot;
      hits_min = hits;
    }
  }
  return coldest;
}

// Leaves the chain empty and gives its overflow buckets back to the pool.
Index::Gathered Index::gather(Bucket& first) noexcept {
  Gathered live;
  std::uint32_t link = 0;  // of the bucket at hand; 0 is the first
  for (Bucket* bucket = &first; bucket != nullptr;) {
    for (const Slot slot : bucket->slots) {
      if (!slot.empty() && segments_.current(slot)) live.slots[live.count++] = slot;
    }
    const std::uint32_t following = bucket->link;
    *bucket = Bucket{};
    if (link != 0) {
      bucket->link = overflow_free_;
      overflow_free_ = link;
    }
    link = following;
    bucket = link == 0 ? nullptr : &overflow_[link - 1];
  }
  return live;
}

void Index::put_back(Bucket& first, Slot slot) noexcept {
  Slot* place = free_slot(first);
  if (place == nullptr) {
    Bucket* added = add_overflow(first);
    CHECK(added != nullptr);
    place = added->slots.data();
  }
  *place = slot;
}

void Index::grow(std::uint64_t items) noexcept {
  if (items <= buckets() * kItemsPerBucket || buckets() >= buckets_max_) return;
  if (!bucket_memory_.commit((buckets() + 1) * sizeof(Bucket))) return;
  split();
}

void Index::populate() noexcept {
  const auto ahead = [](Region& memory, std::size_t used_bytes) {
    (void)memory.commit(std::min(used_bytes + kPopulatedAheadBytes, memory.reserved_bytes()));
    memory.populate(used_bytes, kPopulatedAheadBytes);
  };
  ahead(bucket_memory_, buckets() * sizeof(Bucket));
  ahead(overflow_memory_, overflow_made_ * sizeof(Bucket));
}

// Two chains never need more overflow buckets than the one they were, so putting back cannot fail.
void Index::split() noexcept {
  Bucket& old_bucket = buckets_[split_];
  Bucket& new_bucket = buckets_[buckets()];
  new_bucket = Bucket{};
  const std::uint64_t new_bit = low_buckets_;
  const Gathered live = gather(old_bucket);
  for (std::size_t i = 0; i < live.count; ++i) {
    const bool moves = (hash_(segments_.item(live.slots[i]).key()) & new_bit) != 0;
    put_back(moves ? new_bucket : old_bucket, live.slots[i]);
  }
  if (++split_ == low_buckets_) {
    low_buckets_ *= 2;
    split_ = 0;
  }
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
  if (first.link != 0) {
    const Gathered live = gather(first);
    for (std::size_t i = 0; i < live.count; ++i) put_back(first, live.slots[i]);
    return;
  }
  for (Slot& slot : first.slots) {
    if (!slot.empty() && !segments_.current(slot)) slot = Slot{};
  }
}

void Index::check_invariants() const {
  std::uint64_t linked = 0;
  for (std::uint64_t number = 0; number < buckets(); ++number) {
    unsigned length = 0;
    for (const Bucket* bucket = next(buckets_[number]); bucket != nullptr; bucket = next(*bucket)) ++length;
    CHECK(length <= kOverflowMax);
    linked += length;
  }
  for (std::uint32_t link = overflow_free_; link != 0; link = overflow_[link - 1].link) ++linked;
  CHECK(linked == overflow_made_);
  for_each_current([this](std::uint64_t number, Slot slot) {
    const std::uint64_t hash = hash_(segments_.item(slot).key());
    CHECK(bucket_of(hash) == number);
    CHECK(Slot::tag_of(hash) == slot.tag());
  });
}

}  // namespace pelikan::storage::segcache
