// How the values of a histogram are grouped, and what can be asked of the counts: plain numbers, no threads.
//
// Log-linear: values below 16 have a bucket each; above, every power of two is cut into 16 equal parts. So a value is
// known to within 1/16 (6.25 %). Values of 2^40 and more (18 minutes, when the unit is nanoseconds) share the last
// bucket.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace pelikan::metrics {

inline constexpr unsigned kSubBucketBits = 4;
inline constexpr unsigned kMaxValueBits = 40;
inline constexpr std::size_t kBuckets = ((kMaxValueBits - kSubBucketBits + 1) << kSubBucketBits) + 1;

[[nodiscard]] constexpr std::size_t bucket_of(std::uint64_t value) noexcept {
  if (value < (1U << kSubBucketBits)) return value;
  if (value >> kMaxValueBits != 0) return kBuckets - 1;
  const unsigned octave = static_cast<unsigned>(std::bit_width(value)) - 1 - kSubBucketBits;
  return (octave << kSubBucketBits) + static_cast<std::size_t>(value >> octave);
}

// The largest value that falls into a bucket. The last bucket has no such value; it answers 2^40.
[[nodiscard]] constexpr std::uint64_t bucket_max(std::size_t bucket) noexcept {
  if (bucket == kBuckets - 1) return std::uint64_t{1} << kMaxValueBits;
  if (bucket < (1U << kSubBucketBits)) return bucket;
  const std::size_t octave = (bucket >> kSubBucketBits) - 1;
  const std::uint64_t part = bucket - (octave << kSubBucketBits);
  return ((part + 1) << octave) - 1;
}

struct HistogramCounts {
  std::array<std::uint64_t, kBuckets> buckets{};
  std::uint64_t sum = 0;

  [[nodiscard]] std::uint64_t count() const noexcept;
  // The value that `fraction` (0..1) of all values do not exceed, rounded up to its bucket; 0 when there are none.
  [[nodiscard]] std::uint64_t percentile(double fraction) const noexcept;
  HistogramCounts& operator+=(const HistogramCounts& other) noexcept;
  // What was recorded since `earlier`. REQUIRES: `earlier` is an earlier reading of the same histogram.
  [[nodiscard]] HistogramCounts since(const HistogramCounts& earlier) const noexcept;
};

}  // namespace pelikan::metrics
