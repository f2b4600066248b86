#include "metrics/histogram.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace pelikan::metrics {

static_assert(bucket_of(0) == 0 && bucket_of(15) == 15 && bucket_of(16) == 16 && bucket_of(31) == 31);
static_assert(kBuckets == 593 && FineCounts::Layout::kBuckets == 4353);
static_assert(bucket_of(32) == 32 && bucket_of(33) == 32 && bucket_max(32) == 33);
static_assert(bucket_of((std::uint64_t{1} << 40) - 1) == kBuckets - 2 &&
              bucket_of(std::uint64_t{1} << 40) == kBuckets - 1);

template <unsigned SubBits>
std::uint64_t Counts<SubBits>::count() const noexcept {
  return std::accumulate(buckets.begin(), buckets.end(), std::uint64_t{0});
}

template <unsigned SubBits>
std::uint64_t Counts<SubBits>::percentile(double fraction) const noexcept {
  const std::uint64_t total = count();
  if (total == 0) return 0;
  const auto wanted =
      static_cast<std::uint64_t>(std::ceil(std::clamp(fraction, 0.0, 1.0) * static_cast<double>(total)));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < Layout::kBuckets; ++i) {
    seen += buckets[i];
    if (seen > 0 && seen >= wanted) return Layout::bucket_max(i);
  }
  return Layout::bucket_max(Layout::kBuckets - 1);
}

template <unsigned SubBits>
Counts<SubBits>& Counts<SubBits>::operator+=(const Counts& other) noexcept {
  for (std::size_t i = 0; i < Layout::kBuckets; ++i) buckets[i] += other.buckets[i];
  sum += other.sum;
  return *this;
}

template <unsigned SubBits>
Counts<SubBits> Counts<SubBits>::since(const Counts& earlier) const noexcept {
  Counts result = *this;
  for (std::size_t i = 0; i < Layout::kBuckets; ++i) result.buckets[i] -= earlier.buckets[i];
  result.sum -= earlier.sum;
  return result;
}

template struct Counts<4>;
template struct Counts<7>;

}  // namespace pelikan::metrics
