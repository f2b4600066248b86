#include "storage/segcache/options.h"

#include <fmt/format.h>

#include "storage/segcache/slot.h"

namespace pelikan::storage::segcache {
namespace {

constexpr std::uint64_t kAutoSegmentBytesMax = config::kMiB;
constexpr std::uint64_t kAutoSegmentBytesMin = 8 * config::kKiB;
constexpr std::uint64_t kAutoSegmentsMin = 256;

std::uint64_t choose_segment_bytes(std::uint64_t heap_bytes) {
  std::uint64_t bytes = kAutoSegmentBytesMax;
  while (bytes > kAutoSegmentBytesMin && heap_bytes / bytes < kAutoSegmentsMin) bytes /= 2;
  return bytes;
}

}  // namespace

void SegOptions::fit_into(std::uint64_t bytes) {
  constexpr std::uint64_t kTablesPart = 8;         // one part in this many is for index and ghost
  constexpr std::uint64_t kBytesPerSegment = 144;  // its header, its place in the expiry queue, and their rounding
  const std::uint64_t room = bytes - bytes / kTablesPart;
  const std::uint64_t each = segment_size() != 0 ? segment_size().bytes : choose_segment_bytes(room);
  if (!heap_size.is_set()) heap_size.set(room - room / (each + kBytesPerSegment) * kBytesPerSegment);
  const std::uint64_t tables = heap_size() / each * kBytesPerSegment;
  const std::uint64_t taken = heap_size() + tables;
  if (taken >= bytes) {
    throw config::Error(fmt::format("seg.heap_size = {}: at most {} for heap and index are left of server.memory_limit",
                                    heap_size().bytes, bytes));
  }
  index_bytes_max = (bytes - taken) / 5 * 4;
}

void SegOptions::check() const { (void)Geometry::from(*this); }

Geometry Geometry::from(const SegOptions& options) {
  const std::uint64_t heap_bytes = options.heap_size();
  std::uint64_t segment_bytes = options.segment_size();
  if (segment_bytes == 0) segment_bytes = choose_segment_bytes(heap_bytes);
  segment_bytes -= segment_bytes % kSlotUnitBytes;
  if (segment_bytes < kSegmentBytesMin) {
    throw config::Error(fmt::format("seg.segment_size = {}: must be 0 (automatic) or {} to {}", segment_bytes,
                                    kSegmentBytesMin, kSlotOffsetsMax * kSlotUnitBytes));
  }
  const std::uint64_t segments = heap_bytes / segment_bytes;
  if (segments < kSegmentsMin) {
    throw config::Error(
        fmt::format("seg.heap_size = {}: holds {} segments of seg.segment_size = {}, at least {} are needed",
                    heap_bytes, segments, segment_bytes, kSegmentsMin));
  }
  if (segments > kSlotSegmentsMax) {
    throw config::Error(fmt::format("seg.heap_size = {}: {} segments of seg.segment_size = {} are more than {}",
                                    heap_bytes, segments, segment_bytes, kSlotSegmentsMax));
  }
  return {.segment_bytes = static_cast<std::uint32_t>(segment_bytes), .segments = static_cast<std::uint32_t>(segments)};
}

}  // namespace pelikan::storage::segcache
