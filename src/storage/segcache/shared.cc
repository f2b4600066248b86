#include "storage/segcache/shared.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <system_error>

namespace pelikan::storage::segcache {
namespace {

// A smaller heap is soon full, and what it is not ready for takes its stores less than a tenth of a second in all.
constexpr std::uint64_t kPopulatedHeapBytesMin = std::uint64_t{64} << 20;

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

// The heap, and the index: all of it where it has a bound of its own. Otherwise it may become larger than the heap, for
// the smallest items there can be, and an eighth of that is enough for items of 150 bytes.
std::uint64_t prefault(const SegOptions& options, Segments& segments, Index& index) {
  constexpr std::uint64_t kIndexPart = 8;
  const std::uint64_t heap_bytes = segments.prefault();
  const bool bounded = options.index_bytes_max != 0;
  return heap_bytes + index.prefault(bounded ? std::numeric_limits<std::uint64_t>::max() : heap_bytes / kIndexPart);
}

std::uint32_t lent_together_of(const Segments& segments) {
  constexpr std::uint32_t kTogetherMin = 4;
  constexpr std::uint32_t kTogetherPart = 64;
  return std::max(kTogetherMin, segments.count() / kTogetherPart);
}

// What need not be evictable for a thread while it makes room: what must stay free; the head and its segment; the other
// large items in the segment of the old version; and what other threads have open or examine. The old version and the
// new one share the rest.
std::uint32_t lent_max_of(const Shared& shared) {
  const std::uint32_t count = shared.segments.count();
  std::uint32_t reserved = shared.segments_free_min() + 2 + shared.lent_together;
  if (shared.several()) {
    reserved += count / Shared::kOpenPart;
    reserved += static_cast<std::uint32_t>(shared.grace.threads() - 1) * (shared.lent_together + 1);
  }
  return count > reserved ? (count - reserved) / 2 : 0;
}

}  // namespace

Shared::Shared(const SegOptions& options, const KeyHash& hash, std::uint32_t now, unsigned threads)
    : grace(threads),
      segments(Geometry::from(options).segments, Geometry::from(options).segment_bytes, grace),
      index(segments, hash, initial_buckets(options, Geometry::from(options)),
            buckets_max(options, Geometry::from(options))),
      prefault_bytes(options.prefault() ? prefault(options, segments, index) : 0),
      counts(threads),
      policy(make_policy(options)),
      sparse_bytes(segments.segment_bytes() / static_cast<std::uint32_t>(options.compact_target())),
      lent_together(lent_together_of(segments)),
      lent_max(lent_max_of(*this)),
      now_sec(now),
      expiry_queue(segments) {
  hints.fill(kNoSegment);
  const std::uint64_t heap_bytes = std::uint64_t{segments.count()} * segments.segment_bytes();
  if (heap_bytes < kPopulatedHeapBytesMin) return;
  try {
    populator.emplace(segments, index);
  } catch (const std::system_error&) {
    return;  // no thread to be had: memory comes as it is touched
  }
}

Totals Shared::totals() const noexcept {
  const std::uint32_t epoch = segments.epoch();
  Totals sum;
  for (const Counts& one : counts) {
    const Totals part = one.tally.get(epoch);
    sum.live_items += part.live_items;
    sum.live_bytes += part.live_bytes;
    sum.written_items += part.written_items;
    sum.written_bytes += part.written_bytes;
  }
  return sum;
}

}  // namespace pelikan::storage::segcache
