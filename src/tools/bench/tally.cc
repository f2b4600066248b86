#include "tools/bench/tally.h"

#include <algorithm>
#include <numeric>

namespace pelikan::tools::bench {
namespace {

constexpr std::size_t kTroubleTextMax = 200;

// What a target sent may hold anything: the report stays one line of ASCII.
std::string printable(std::string_view text) {
  std::string out(text.substr(0, kTroubleTextMax));
  for (char& c : out) {
    if (c < ' ' || c > '~') c = '?';
  }
  return out;
}

}  // namespace

void Tally::answered(std::uint64_t count, std::uint64_t latency_ns) noexcept {
  requests += count;
  latency_ns_.buckets[metrics::FineCounts::Layout::bucket_of(latency_ns)] += count;
  latency_max_ns_ = std::max(latency_max_ns_, latency_ns);
}

void Tally::trouble(Trouble kind, std::uint64_t count, std::string_view what) {
  troubles_[static_cast<std::size_t>(kind)] += count;
  if (first_trouble_.empty()) first_trouble_ = printable(what);
}

std::uint64_t Tally::errors() const noexcept {
  return std::accumulate(troubles_.begin(), troubles_.end(), std::uint64_t{0});
}

void Tally::start_measuring() noexcept {
  requests = hits = misses = keys = resumed = 0;
  latency_ns_ = {};
  latency_max_ns_ = 0;
  pace = {};
}

Tally& Tally::operator+=(const Tally& other) {
  requests += other.requests;
  hits += other.hits;
  misses += other.misses;
  keys += other.keys;
  resumed += other.resumed;
  seconds = std::max(seconds, other.seconds);
  pace += other.pace;
  latency_ns_ += other.latency_ns_;
  latency_max_ns_ = std::max(latency_max_ns_, other.latency_max_ns_);
  for (std::size_t i = 0; i < kTroubles; ++i) troubles_[i] += other.troubles_[i];
  if (first_trouble_.empty()) first_trouble_ = other.first_trouble_;
  if (cipher.empty()) cipher = other.cipher;
  return *this;
}

double Tally::per_second() const noexcept { return seconds > 0 ? static_cast<double>(requests) / seconds : 0; }
double Tally::keys_per_second() const noexcept { return seconds > 0 ? static_cast<double>(keys) / seconds : 0; }

// A bucket answers with its largest value, which nothing may have reached.
double Tally::percentile_us(double fraction) const noexcept {
  return static_cast<double>(std::min(latency_ns_.percentile(fraction), latency_max_ns_)) / 1e3;
}

}  // namespace pelikan::tools::bench
