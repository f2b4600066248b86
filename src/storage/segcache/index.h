// The hash index: linear hashing over 64-byte buckets. It grows by splitting one bucket at a time, in order, so nothing
// ever pauses and nothing is copied but the bucket at hand:
//
//   bucket   0 ... split      split ... 2^level         2^level ... 2^level + split
//            already split    still to be split         what split off from the first part
//
// A bucket that is full gets overflow buckets, at most kOverflowMax, taken from a pool. A chain that is full to the end
// says so, and the caller gives up its coldest item: an index is never a reason to refuse a store.
//
// Slots whose segment was dropped stay behind and are free (Segments::current). Their generation has only 8 bits, so
// before it could come round again a sweep must have cleared them: sweep() goes through all buckets, over and over, a
// bounded step at a time.
//
// Owner:   Store. Threads: look_up() on any; the rest, too, through a Hold, or guarded by a mutex of its own. With one
//          worker (`shared` = false) nothing is locked. Why it is right: docs/concurrency.md.
// Limits:  buckets_max given at construction; when it is reached or memory is refused, chains grow, then cold items
//          leave.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string_view>

#include "base/hash.h"
#include "storage/segcache/region.h"
#include "storage/segcache/segments.h"
#include "storage/segcache/slot.h"

namespace pelikan::storage::segcache {

class Index {
 public:
  // Overflow buckets of one chain. Buckets whose turn to be split is last have 16 items on average: one in 10^14 of
  // them has more than fit.
  static constexpr unsigned kOverflowMax = 7;
  static constexpr unsigned kItemsPerBucket = 8;  // above this mean the index grows
  static constexpr std::size_t kChainSlotsMax = kBucketSlots * (1 + kOverflowMax);

  // The chain of buckets a hash belongs to, held against all other writers; readers go on. A thread holds one at a
  // time, and for no longer than it takes to write an item.
  class Hold {
   public:
    Hold(Index& index, std::uint64_t hash) noexcept
        : index_(index), hash_(hash), first_(index.hold(hash)), epoch_(index.segments_.epoch()) {}
    ~Hold() { index_.let_go(first_); }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    [[nodiscard]] std::uint64_t hash() const noexcept { return hash_; }
    // Of flushes. One for all that is done under the hold: an item found before a flush must not become one after it.
    [[nodiscard]] std::uint32_t epoch() const noexcept { return epoch_; }

   private:
    friend Index;
    Index& index_;
    const std::uint64_t hash_;
    Bucket& first_;
    const std::uint32_t epoch_;
  };

  // Throws std::runtime_error when the memory is not to be had. REQUIRES: `segments` outlives this.
  Index(const Segments& segments, const KeyHash& hash, std::uint64_t initial_buckets, std::uint64_t buckets_max);

  // Makes so many bytes real, half of them for overflow buckets, but no more than it may grow to, and no fewer buckets
  // than it starts with: how many bytes. Throws std::runtime_error. REQUIRES: no other thread is here yet.
  std::uint64_t prefault(std::uint64_t bytes);

  [[nodiscard]] std::uint64_t hash(std::string_view key) const noexcept { return hash_(key); }

  // Hints to the CPU: the first bucket of that hash; then, once it has come, what its slots with that tag point at.
  void prefetch_bucket(std::uint64_t hash) const noexcept { __builtin_prefetch(&buckets_[bucket_of(hash, buckets())]); }
  void prefetch_item(std::uint64_t hash) const noexcept;

  // The slot of the item with this key, expired or not; empty when there is none. Never waits when there is one.
  [[nodiscard]] Slot look_up(std::uint64_t hash, std::string_view key) const noexcept;

  // The same for who holds the chain; null when there is none.
  [[nodiscard]] SlotCell* find(const Hold& hold, std::string_view key) noexcept;
  // The slot with exactly this content.
  [[nodiscard]] SlotCell* find(const Hold& hold, Slot wanted) noexcept;
  // REQUIRES: the key is not in the index. False when the chain is full to the end.
  [[nodiscard]] bool insert(const Hold& hold, Slot slot) noexcept;
  // The slot in that chain whose item had the fewest hits. REQUIRES: insert() has just said no.
  [[nodiscard]] SlotCell* coldest(const Hold& hold) noexcept;

  // Splits one bucket if there are more than kItemsPerBucket items for each, unless another thread is at it.
  // REQUIRES: the caller holds no chain.
  void grow(std::uint64_t items) noexcept;

  // Memory ahead of what is used, for buckets and for overflow buckets: Region says more. Any thread, the last one at a
  // time.
  void commit_ahead() noexcept;
  [[nodiscard]] bool runs_short() const noexcept;
  bool populate() noexcept;

  // Clears stale slots in that many buckets. True when this ended a sweep, and the next starts.
  // REQUIRES: room (shared.h), and no chain is held.
  bool sweep(std::uint64_t buckets) noexcept;
  [[nodiscard]] std::uint64_t sweep_position() const noexcept { return sweep_at_; }

  [[nodiscard]] std::uint64_t buckets() const noexcept { return bucket_count_.load(std::memory_order_acquire); }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return (buckets() + overflow_made()) * sizeof(Bucket); }
  // With what is ready for growth: what the index takes of the machine's memory.
  [[nodiscard]] std::uint64_t real_bytes() const noexcept {
    return bucket_memory_.real_bytes(buckets() * sizeof(Bucket)) +
           overflow_memory_.real_bytes(overflow_made() * sizeof(Bucket));
  }

  // f(bucket number, Slot) on every slot that is current. REQUIRES: no writer is under way.
  template <class F>
  void for_each_current(F&& f) const {
    for (std::uint64_t number = 0; number < buckets(); ++number) {
      for (const Bucket* bucket = &buckets_[number]; bucket != nullptr; bucket = next(*bucket)) {
        for (const SlotCell& cell : bucket->slots) {
          const Slot slot = cell.get();
          if (!slot.empty() && current(slot)) f(number, slot);
        }
      }
    }
  }
  // Of so many buckets, the one for this hash: its low bits, one more of them where the bucket has been split.
  [[nodiscard]] static std::uint64_t bucket_of(std::uint64_t hash, std::uint64_t buckets) noexcept {
    const std::uint64_t mask = ~std::uint64_t{0} >> __builtin_clzll(buckets);  // there is always one
    const std::uint64_t number = hash & mask;
    return number < buckets ? number : number & mask >> 1;
  }
  // REQUIRES: as for_each_current().
  void check_invariants() const;

 private:
  // The current slots of a chain, taken out of it, and the overflow buckets that it had.
  struct Gathered {
    std::array<Slot, kChainSlotsMax> slots;
    std::array<std::uint32_t, kOverflowMax> spare;  // links
    std::size_t count = 0;
    std::size_t spare_count = 0;
  };

  // Where a slot was met, and what it was then.
  struct Met {
    const SlotCell* cell = nullptr;
    Slot slot;
  };
  // The slot in that chain whose item has the key, of that epoch of flushes; cell is null when there is none.
  [[nodiscard]] Met scan(const Bucket& first, std::uint32_t tag, std::string_view key,
                         std::uint32_t epoch) const noexcept;
  [[nodiscard]] Bucket* next(const Bucket& bucket) const noexcept {
    const std::uint32_t link = bucket.link.load(std::memory_order_acquire);
    return link == 0 ? nullptr : &overflow_[link - 1];
  }
  [[nodiscard]] std::uint32_t overflow_made() const noexcept { return overflow_made_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool current(Slot slot) const noexcept { return segments_.current(slot, segments_.epoch()); }
  [[nodiscard]] Bucket& hold(std::uint64_t hash) noexcept;
  [[nodiscard]] bool try_hold(Bucket& first) noexcept;
  void hold_bucket(Bucket& first) noexcept;
  void let_go(Bucket& first) noexcept;

  [[nodiscard]] SlotCell* free_slot(Bucket& first) noexcept;
  [[nodiscard]] Bucket* add_overflow(Bucket& first) noexcept;
  Bucket& link_to(Bucket& first, std::uint32_t link) noexcept;
  [[nodiscard]] Gathered gather(Bucket& first) noexcept;
  template <class Second>
  void scatter(Gathered& live, Bucket& first, Bucket& second, Second&& to_second) noexcept;
  void split() noexcept;
  void sweep_bucket(Bucket& first) noexcept;

  const Segments& segments_;
  KeyHash hash_;
  const bool shared_;
  Region bucket_memory_;
  Region overflow_memory_;
  Bucket* buckets_;
  Bucket* overflow_;
  std::uint64_t buckets_max_;
  std::atomic<std::uint64_t> bucket_count_;
  std::mutex growth_mutex_;
  std::uint64_t sweep_at_ = 0;
  std::mutex pool_mutex_;
  std::atomic<std::uint32_t> overflow_made_{0};  // ever taken from the pool's memory; written under the mutex
  std::uint32_t overflow_free_ = 0;              // a list through `link`; 0 = empty
};

}  // namespace pelikan::storage::segcache
