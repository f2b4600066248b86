// The cache: items in segments, found through a hash index, dropped a segment at a time. What docs/storage.md explains.
//
// Threads:    a SegCache is one thread's. Several of them, made by share(), can be the same storage: a thread reads
//             without a lock, writes hold one chain of the index, and whoever has a turn does the work that is due.
//             With one thread nothing is locked. docs/concurrency.md.
// Time:       comes in with the constructor and turn(); an item whose expire_at <= Time::floor_sec is gone. Callers add
//             a TTL to Time::ceil_sec. So nothing expires early and nothing lives a whole second too long.
// Limits:     keys of 0 to 255 bytes, values of at most seg.max_value_size, and what two of may be in the heap: fits().
// When full:  the eviction policy makes room; seg.eviction = "none" answers kNoSpace.
// Failure:    the constructor throws std::runtime_error (config::Error for settings that make no sense together) with
//             one line; nothing else throws.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <type_traits>

#include "base/clock.h"
#include "base/hash.h"
#include "storage/segcache/options.h"

namespace pelikan::storage::segcache {

// A key, and its hash if prefetch() has told it. An operation that does not get the hash computes it.
struct Key {
  template <std::convertible_to<std::string_view> T>
  Key(const T& key_text, std::uint64_t key_hash = 0) noexcept  // NOLINT(google-explicit-constructor): a text is a key
      : text(key_text), hash(key_hash) {}

  std::string_view text;
  std::uint64_t hash;  // 0: not known
};

// What is stored under a key. The views hold until the next call of this SegCache that is not get() or peek().
struct Item {
  std::string_view key;
  std::string_view value;
  std::uint32_t flags = 0;
  std::uint32_t expire_at = 0;  // monotonic second, 0 = never; rounded up as it is stored
  std::uint64_t cas = 0;        // names this version: never 0, never that of another version; eviction may change it
};

// What a write does with the item it found (or did not find).
struct Verdict {
  enum class Kind : std::uint8_t { kKeep, kErase, kStore };

  Kind kind = Kind::kKeep;
  std::string_view front = {};  // the new value is front + back; both may view the current item or anything else
  std::string_view back = {};
  std::uint32_t flags = 0;
  std::uint32_t expire_at = 0;  // 0 = never; one that has passed stores an item which is gone at once

  static Verdict keep() noexcept { return {}; }
  static Verdict erase() noexcept { return {.kind = Kind::kErase}; }
  static Verdict store(std::string_view value, std::uint32_t flags, std::uint32_t expire_at) noexcept {
    return {.kind = Kind::kStore, .front = value, .flags = flags, .expire_at = expire_at};
  }
};

//   kTooLarge  such an item can never fit; the old item is untouched
//   kNoSpace   the heap is full and the policy is "none", the kernel has no memory for a large value, or a thread hangs
//              that keeps the others from it; the old item is untouched, unless it was evicted before that
struct WriteResult {
  enum class Status : std::uint8_t { kKept, kErased, kStored, kTooLarge, kNoSpace };

  Status status = Status::kKept;
  std::uint64_t cas = 0;  // of the item that is there now; 0 when there is none
};

// A reading of what there is. The same numbers are published as metrics once per turn.
struct Stats {
  std::uint64_t items = 0;         // alive, or expired and not yet noticed
  std::uint64_t live_bytes = 0;    // of those items, headers and alignment included
  std::uint64_t heap_bytes = 0;    // all segments
  std::uint64_t index_bytes = 0;   // buckets and overflow buckets in use
  std::uint64_t policy_bytes = 0;  // what the eviction policy remembers
  std::uint64_t table_bytes = 0;   // segment headers and expiry queue
  std::uint64_t segments = 0;
  std::uint64_t segments_free = 0;
  std::uint64_t segment_bytes = 0;
  std::uint64_t oldest_age_sec = 0;  // of the oldest segment in use
  std::uint64_t evicted_items = 0;
  std::uint64_t expired_items = 0;    // reclaimed because their time had come
  std::uint64_t stored_items = 0;     // ever
  std::uint64_t value_bytes_max = 0;  // seg.max_value_size, or what this heap can hold if that is less
  std::uint64_t large_items = 0;      // with values in blocks of their own
  std::uint64_t large_bytes = 0;      // of those values; part of live_bytes
  std::uint64_t prefault_bytes = 0;   // made real at the start: seg.prefault
  bool evicts = true;                 // false: a full heap refuses stores (seg.eviction = "none")
};

class Store;

class SegCache {
 public:
  // For up to so many threads. REQUIRES: shareable(), if there are several.
  SegCache(const SegOptions& options, const KeyHash& hash, const Time& start, unsigned threads = 1);
  ~SegCache();
  SegCache(const SegCache&) = delete;
  SegCache& operator=(const SegCache&) = delete;

  // Whether so many threads may share such a heap: each needs some segments for itself.
  [[nodiscard]] static bool shareable(const SegOptions& options, unsigned threads);
  // The same storage, for one thread more. Any thread may ask for it. All live as long as any of them is used.
  [[nodiscard]] std::unique_ptr<SegCache> share() const;

  // Once per loop turn, before the requests of that turn: the time, and a bounded step of whatever waits to be done.
  void turn(const Time& now) noexcept;
  // Before the thread sleeps: it has no view, and calls nothing until its next turn(). What it might have been reading
  // need not be kept for it. A thread that neither turns nor rests keeps the others from reusing memory.
  void rest() noexcept;

  // For keys that are going to be asked for soon: the CPU fetches what that will read while it does something else.
  // First prefetch() for all of them, which gives their hashes and needs no memory yet; then prefetch_item() for all of
  // them, which needs their buckets; then the operations. Hints only: with or without them the answers are the same.
  [[nodiscard]] std::uint64_t prefetch(std::string_view key) const noexcept;
  void prefetch_item(std::uint64_t hash) const noexcept;

  // get() counts a hit for the eviction policy, peek() leaves no trace.
  [[nodiscard]] std::optional<Item> get(const Key& key) noexcept;
  [[nodiscard]] std::optional<Item> peek(const Key& key) noexcept;

  // The one compare-and-modify primitive: decide(const Item* current) -> Verdict, where current is null on a miss. Set,
  // add, cas, append and incr are lambdas. It is called again when room had to be made for its verdict: the last call
  // is the one that counts. REQUIRES: decide does not call into this cache.
  template <class F>
  WriteResult write(const Key& key, F&& decide) {
    const auto call = [](void* context, const Item* current) -> Verdict {
      return (*static_cast<std::remove_reference_t<F>*>(context))(current);
    };
    return write(key, static_cast<void*>(&decide), call);
  }

  // A new expiry under the same token where the layout can hold it, else the item is written anew. False when there is
  // no such item (or, with eviction "none", no room to write it anew).
  bool touch(const Key& key, std::uint32_t expire_at) noexcept;
  bool erase(const Key& key) noexcept;
  // All stored so far is gone, in constant time; memory comes back over the next turns.
  void flush() noexcept;

  // Whether such an item could ever be stored.
  [[nodiscard]] bool fits(std::size_t key_bytes, std::size_t value_bytes) const noexcept;

  // f(const Item&) -> go on? on up to `limit` live items, in no particular order; gives up after kVisitScanMax items.
  template <class F>
  void visit(std::size_t limit, F&& f) const {
    Cursor cursor;
    for (std::size_t n = 0; n < limit; ++n) {
      const std::optional<Item> item = next(cursor);
      if (!item || !f(*item)) return;
    }
  }
  static constexpr std::size_t kVisitScanMax = 1 << 17;

  [[nodiscard]] Stats stats() const noexcept;

  // For tests: walks everything and stops the process (CHECK) when counters, chains, index and items do not agree.
  // REQUIRES: all threads are still.
  void check_invariants() const;

 private:
  // Where visit() is.
  struct Cursor {
    std::uint32_t segment = 0;
    std::uint32_t offset = 0;
    std::size_t scanned = 0;
  };

  SegCache(const SegCache& first, std::unique_ptr<Store> store);

  [[nodiscard]] std::uint64_t hash_of(const Key& key) const noexcept;
  using Decide = Verdict (*)(void* context, const Item* current);
  WriteResult write(const Key& key, void* context, Decide decide) noexcept;
  // One attempt. Nothing when there was no room; what is wanted is told then.
  struct Attempt;
  std::optional<WriteResult> try_write(Attempt& attempt, void* context, Decide decide) noexcept;
  std::optional<bool> try_touch(Attempt& attempt, std::uint32_t deadline, bool anywhere) noexcept;
  bool try_erase(const Key& key) noexcept;
  [[nodiscard]] std::optional<Item> next(Cursor& cursor) const noexcept;

  std::unique_ptr<Store> store_;
  std::size_t value_bytes_max_;
  bool evicts_;
};

}  // namespace pelikan::storage::segcache
