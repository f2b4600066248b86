#include "tools/bench/tally.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <numeric>

namespace pelikan::tools::bench {
namespace {

constexpr std::size_t kTroubleTextMax = 200;
constexpr std::array<const char*, kTroubles> kTroubleNames{"not_connected", "lost",        "garbage",
                                                           "refused",       "wrong_value", "unanswered"};
constexpr std::array<std::pair<const char*, double>, 4> kPercentiles{
    {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}}};

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
  latency_ns_.buckets[metrics::bucket_of(latency_ns)] += count;
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
  requests = hits = misses = 0;
  latency_ns_ = {};
  latency_max_ns_ = 0;
}

double Tally::requests_per_second() const noexcept { return seconds > 0 ? static_cast<double>(requests) / seconds : 0; }

// A bucket answers with its largest value, which nothing may have reached.
double Tally::percentile_us(double fraction) const noexcept {
  return static_cast<double>(std::min(latency_ns_.percentile(fraction), latency_max_ns_)) / 1e3;
}

std::string Tally::json() const {
  nlohmann::ordered_json out;
  out["requests_per_second"] = requests_per_second();
  for (const auto& [name, fraction] : kPercentiles) out["latency_us"][name] = percentile_us(fraction);
  out["latency_us"]["max"] = static_cast<double>(latency_max_ns_) / 1e3;
  out["errors"] = errors();
  out["hits"] = hits;
  out["misses"] = misses;
  if (target_cpu_seconds) {
    out["target_cpu_us_per_request"] = requests > 0 ? *target_cpu_seconds * 1e6 / static_cast<double>(requests) : 0;
  }
  out["requests"] = requests;
  out["seconds"] = seconds;
  for (std::size_t i = 0; i < kTroubles; ++i) out["error_kinds"][kTroubleNames[i]] = troubles_[i];
  return out.dump();
}

std::string Tally::table() const {
  std::string out =
      fmt::format("{:.0f} requests/s ({} requests in {:.2f} s)\nlatency us", requests_per_second(), requests, seconds);
  for (const auto& [name, fraction] : kPercentiles) {
    fmt::format_to(std::back_inserter(out), "  {} {:.1f}", name, percentile_us(fraction));
  }
  fmt::format_to(std::back_inserter(out), "  max {:.1f}\nhits {}  misses {}  errors {}",
                 static_cast<double>(latency_max_ns_) / 1e3, hits, misses, errors());
  for (std::size_t i = 0; i < kTroubles; ++i) {
    if (troubles_[i] > 0) fmt::format_to(std::back_inserter(out), "\n  {} {}", kTroubleNames[i], troubles_[i]);
  }
  if (!first_trouble_.empty()) out += "\nfirst error: " + first_trouble_;
  if (target_cpu_seconds && requests > 0) {
    fmt::format_to(std::back_inserter(out), "\ntarget CPU {:.2f} us/request",
                   *target_cpu_seconds * 1e6 / static_cast<double>(requests));
  }
  return out;
}

}  // namespace pelikan::tools::bench
