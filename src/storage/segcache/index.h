// The hash index: linear hashing over 64-byte buckets. It grows by splitting one bucket at a time, in order, so nothing
// ever pauses and nothing is copied but the bucket at hand:
//
//   bucket   0 ... split_     split_ ... 2^level_       2^level_ ... 2^level_ + split_
//            already split    still to be split         what split off from the first part
//
// A bucket that is full gets overflow buckets, at most kOverflowMax, taken from a pool. A chain that is full to the end
// says so, and the caller gives up its coldest item: an index is never a reason to refuse a store.
//
// Slots whose segment was dropped stay behind and are free (Segments::current). Their generation has only 8 bits, so
// before it could come round again a sweep must have cleared them: sweep() goes through all buckets, over and over, a
// bounded step at a time.
// Owner: Store. Threads: one.
// Limits: buckets_max given at construction; when it is reached or memory is refused, chains grow, then cold items
//         leave.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/hash.h"
#include "storage/segcache/region.h"
#include "storage/segcache/segments.h"
#include "storage/segcache/slot.h"

namespace pelikan::storage::segcache {

class Index {
 public:
  static constexpr unsigned kOverflowMax = 3;     // overflow buckets of one chain
  static constexpr unsigned kItemsPerBucket = 6;  // above this mean the index grows
  static constexpr std::size_t kChainSlotsMax = kBucketSlots * (1 + kOverflowMax);

  // Throws std::runtime_error when the memory is not to be had. REQUIRES: `segments` outlives this.
  Index(const Segments& segments, const KeyHash& hash, std::uint64_t initial_buckets, std::uint64_t buckets_max);

  [[nodiscard]] std::uint64_t hash(std::string_view key) const noexcept { return hash_(key); }

  // Hints to the CPU: the first bucket of that hash; then, once it has come, what its slots with that tag point at.
  void prefetch_bucket(std::uint64_t hash) const noexcept { __builtin_prefetch(&buckets_[bucket_of(hash)]); }
  void prefetch_item(std::uint64_t hash) const noexcept;

  // The slot of the item with this key, expired or not; null when there is none. Slots stay where they are until
  // insert(), grow() or sweep().
  [[nodiscard]] Slot* find(std::uint64_t hash, std::string_view key) noexcept;
  // The slot with exactly this content.
  [[nodiscard]] Slot* find(std::uint64_t hash, Slot wanted) noexcept;
  // REQUIRES: the key is not in the index. False when the chain is full to the end.
  [[nodiscard]] bool insert(std::uint64_t hash, Slot slot) noexcept;
  // The slot in that chain whose item had the fewest hits. REQUIRES: insert() has just said no.
  [[nodiscard]] Slot* coldest(std::uint64_t hash) noexcept;

  // Splits one bucket if there are more than kItemsPerBucket items for each.
  void grow(std::uint64_t items) noexcept;

  // A step towards memory for the buckets that are next.
  void populate() noexcept;

  // Clears stale slots in that many buckets. True when this ended a sweep, and the next starts.
  bool sweep(std::uint64_t buckets) noexcept;
  [[nodiscard]] std::uint64_t sweep_position() const noexcept { return sweep_at_; }

  [[nodiscard]] std::uint64_t buckets() const noexcept { return low_buckets_ + split_; }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return (buckets() + overflow_made_) * sizeof(Bucket); }
  // With what is ready for growth: what the index takes of the machine's memory.
  [[nodiscard]] std::uint64_t real_bytes() const noexcept {
    return bucket_memory_.real_bytes(buckets() * sizeof(Bucket)) +
           overflow_memory_.real_bytes(overflow_made_ * sizeof(Bucket));
  }

  // f(bucket number, Slot) on every slot that is current.
  template <class F>
  void for_each_current(F&& f) const {
    for (std::uint64_t number = 0; number < buckets(); ++number) {
      for (const Bucket* bucket = &buckets_[number]; bucket != nullptr; bucket = next(*bucket)) {
        for (const Slot slot : bucket->slots) {
          if (!slot.empty() && segments_.current(slot)) f(number, slot);
        }
      }
    }
  }
  [[nodiscard]] std::uint64_t bucket_of(std::uint64_t hash) const noexcept {
    const std::uint64_t number = hash & (low_buckets_ - 1);
    return number < split_ ? hash & (2 * low_buckets_ - 1) : number;
  }
  void check_invariants() const;

 private:
  static constexpr std::size_t kPopulatedAheadBytes = std::size_t{512} << 10;

  // The current slots of a chain, taken out of it.
  struct Gathered {
    std::array<Slot, kChainSlotsMax> slots;
    std::size_t count = 0;
  };

  [[nodiscard]] Bucket* next(const Bucket& bucket) const noexcept {
    return bucket.link == 0 ? nullptr : &overflow_[bucket.link - 1];
  }
  [[nodiscard]] Slot* free_slot(Bucket& first) noexcept;
  [[nodiscard]] Bucket* add_overflow(Bucket& first) noexcept;
  [[nodiscard]] Gathered gather(Bucket& first) noexcept;
  // REQUIRES: the chain has room: it was longer before gather(), or an overflow bucket can be had for certain.
  void put_back(Bucket& first, Slot slot) noexcept;
  void split() noexcept;
  void sweep_bucket(Bucket& first) noexcept;

  const Segments& segments_;
  KeyHash hash_;
  Region bucket_memory_;
  Region overflow_memory_;
  Bucket* buckets_;
  Bucket* overflow_;
  std::uint64_t buckets_max_;
  std::uint64_t low_buckets_;  // 2^level
  std::uint64_t split_ = 0;    // < low_buckets_
  std::uint64_t sweep_at_ = 0;
  std::uint32_t overflow_made_ = 0;  // ever taken from the pool's memory
  std::uint32_t overflow_free_ = 0;  // a list through `link`; 0 = empty
};

}  // namespace pelikan::storage::segcache
