// What all threads of one storage share: segments, index, the policy, and what belongs to them.
//
// Threads:  `room` is the mutex for all that happens per segment and not per item: lists of segments, expiry queue,
//           policy, sweep. It is taken before any chain of the index is held, never while one is. Index, segments and
//           grace say themselves what needs it. With one thread nothing is locked.
// Owner:    the Stores, one per thread, together. docs/concurrency.md has the whole.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>

#include "base/hash.h"
#include "storage/segcache/expiry_queue.h"
#include "storage/segcache/grace.h"
#include "storage/segcache/index.h"
#include "storage/segcache/options.h"
#include "storage/segcache/policies/policy.h"
#include "storage/segcache/populator.h"
#include "storage/segcache/seg_metrics.h"
#include "storage/segcache/segments.h"

namespace pelikan::storage::segcache {

// Sums over segments in chains: what one thread added to them and took away. The sum of all threads' is what there is.
struct Totals {
  std::int64_t live_items = 0;
  std::int64_t live_bytes = 0;
  std::int64_t written_items = 0;
  std::int64_t written_bytes = 0;
};

// One thread's totals, of one epoch of flushes: what is counted for an older one no longer counts.
// Threads: one writes, any may read.
class Tally {
 public:
  void add(std::uint32_t epoch, const Totals& change) noexcept {
    const std::uint32_t mine = epoch_.load(std::memory_order_relaxed);
    if (epoch != mine) {
      if (static_cast<std::int32_t>(epoch - mine) < 0) return;
      for (auto& number : numbers_) number.store(0, std::memory_order_relaxed);
      epoch_.store(epoch, std::memory_order_relaxed);
    }
    bump(0, change.live_items);
    bump(1, change.live_bytes);
    bump(2, change.written_items);
    bump(3, change.written_bytes);
  }
  [[nodiscard]] std::int64_t live_items() const noexcept { return numbers_[0].load(std::memory_order_relaxed); }
  [[nodiscard]] Totals get(std::uint32_t epoch) const noexcept {
    if (epoch_.load(std::memory_order_relaxed) != epoch) return {};
    return {.live_items = numbers_[0].load(std::memory_order_relaxed),
            .live_bytes = numbers_[1].load(std::memory_order_relaxed),
            .written_items = numbers_[2].load(std::memory_order_relaxed),
            .written_bytes = numbers_[3].load(std::memory_order_relaxed)};
  }

 private:
  void bump(std::size_t i, std::int64_t change) noexcept {
    numbers_[i].store(numbers_[i].load(std::memory_order_relaxed) + change, std::memory_order_relaxed);
  }
  std::atomic<std::uint32_t> epoch_{0};
  std::array<std::atomic<std::int64_t>, 4> numbers_{};
};

struct Shared {
  Shared(const SegOptions& options, const KeyHash& hash, std::uint32_t now, unsigned threads);

  // What one thread counts, on cache lines of its own.
  struct alignas(64) Counts {
    Tally tally;
    SegMetrics metrics;
  };

  [[nodiscard]] bool several() const noexcept { return grace.threads() > 1; }
  // One to hand out and one to copy into; and two for each thread that rest until all have passed.
  [[nodiscard]] std::uint32_t segments_free_min() const noexcept {
    return 2 + (several() ? 2 * static_cast<std::uint32_t>(grace.threads()) : 0);
  }
  // Over all threads. What others counted in their present turn may be missing.
  [[nodiscard]] Totals totals() const noexcept;

  static constexpr std::size_t kHints = 16;
  static constexpr std::uint32_t kOpenPart =
      8;  // with several threads, one part in so many of the segments may be open

  Grace grace;
  Segments segments;
  Index index;
  const std::uint64_t prefault_bytes;  // of heap and index; 0 without seg.prefault
  std::deque<Counts> counts;           // one per thread
  std::unique_ptr<Policy> policy;
  const std::uint32_t sparse_bytes;  // a sealed segment with no more live bytes is worth compacting
  // Segments lent to items of one segment, above which it gets no more large items: all would leave at once.
  const std::uint32_t lent_together;
  const std::uint32_t lent_max;  // for one value, so that it and its next version can both be had; 0: no large values
  // The clock of all threads: the second that the first of them has come to.
  alignas(64) std::atomic<std::uint32_t> now_sec;
  std::atomic<bool> nothing_to_compact{false};
  // For blocks that nobody can evict: prepared ones, those whose items are in no sealed segment yet, and those that are
  // about to be given back. Any thread.
  std::atomic<std::uint32_t> lent_under_way{0};
  std::atomic<std::uint32_t> blocks_settled{0};  // how often that became less

  std::mutex room;
  // All that follows: under room.
  unsigned stores = 0;  // threads that have one
  ExpiryQueue expiry_queue;
  std::uint32_t sweeps = 0;
  std::array<SegmentId, kHints> hints;  // a ring of segments that became sparse
  std::size_t hint_at = 0;

  std::optional<Populator> populator;  // last: its thread uses the others. Not for small heaps
};

}  // namespace pelikan::storage::segcache
