#include "tools/bench/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

namespace pelikan::tools::bench {
namespace {

constexpr std::array<const char*, kTroubles> kTroubleNames{"not_connected", "lost",       "garbage",  "refused",
                                                           "wrong_value",   "unanswered", "handshake"};
constexpr std::array<std::pair<const char*, double>, 4> kPercentiles{
    {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}}};

std::string unit(const Options& options) { return options.handshakes ? "handshake" : "request"; }

double target_cpu_us(const Tally& tally) {
  return tally.requests > 0 ? *tally.target_cpu_seconds * 1e6 / static_cast<double>(tally.requests) : 0;
}

double lag_us(const PaceCounts& pace, double fraction) {
  return static_cast<double>(std::min(pace.lag_ns.percentile(fraction), pace.lag_max_ns)) / 1e3;
}

// How many were really sent per second: of the time asked for, or longer when the last ones went after its end.
double achieved_rate(const Options& options, const PaceCounts& pace) {
  const double asked = std::chrono::duration<double>(options.duration).count();
  return static_cast<double>(pace.sent) / std::max(asked, static_cast<double>(pace.last_sent_ns) / 1e9);
}

nlohmann::ordered_json latencies(const Tally& tally) {
  nlohmann::ordered_json out;
  for (const auto& [name, fraction] : kPercentiles) out[name] = tally.percentile_us(fraction);
  out["max"] = tally.latency_max_us();
  return out;
}

void add_open_loop(const Options& options, const PaceCounts& pace, nlohmann::ordered_json& out) {
  out["offered_rate"] = *options.rate;
  out["achieved_rate"] = achieved_rate(options, pace);
  out["late_sends"] = pace.late;
  out["held_sends"] = pace.held;
  out["never_sent"] = pace.never_sent;
  out["send_lag_us"] = {
      {"p50", lag_us(pace, 0.5)}, {"p99", lag_us(pace, 0.99)}, {"max", static_cast<double>(pace.lag_max_ns) / 1e3}};
  out["generator_kept_up"] = kept_up(pace);
}

std::string open_loop_lines(const Options& options, const PaceCounts& pace) {
  std::string out = fmt::format(
      "\nopen loop: {:.0f}/s offered, {:.0f}/s sent, {} held back by full connections, {} never sent\n"
      "send lag us  p50 {:.1f}  p99 {:.1f}  max {:.1f}  late {}",
      *options.rate, achieved_rate(options, pace), pace.held, pace.never_sent, lag_us(pace, 0.5), lag_us(pace, 0.99),
      static_cast<double>(pace.lag_max_ns) / 1e3, pace.late);
  if (!kept_up(pace))
    out += "\nthis program did not keep up: its own delay is in the latencies; give it a free core, or more --threads";
  if (pace.never_sent > 0) out += "\nthe latencies do not contain those never sent: the true ones are higher";
  return out;
}

}  // namespace

bool kept_up(const PaceCounts& pace) noexcept { return pace.late * 100 <= pace.sent; }

std::string json(const Options& options, const Tally& tally) {
  nlohmann::ordered_json out;
  out[unit(options) + "s_per_second"] = tally.per_second();
  out["latency_us"] = latencies(tally);
  out["errors"] = tally.errors();
  if (!options.handshakes) {
    out["hits"] = tally.hits;
    out["misses"] = tally.misses;
    out["keys_per_second"] = tally.keys_per_second();
  }
  if (tally.target_cpu_seconds) out["target_cpu_us_per_" + unit(options)] = target_cpu_us(tally);
  out[unit(options) + "s"] = tally.requests;
  out["seconds"] = tally.seconds;
  for (std::size_t i = 0; i < kTroubles; ++i) {
    out["error_kinds"][kTroubleNames[i]] = tally.errors(static_cast<Trouble>(i));
  }
  if (options.handshakes) out["resumed"] = tally.resumed;
  if (options.tls) out["tls"] = tally.cipher;
  if (options.rate) add_open_loop(options, tally.pace, out);
  return out.dump();
}

std::string table(const Options& options, const Tally& tally) {
  std::string out = fmt::format("{:.0f} {}s/s ({} {}s in {:.2f} s)\nlatency us", tally.per_second(), unit(options),
                                tally.requests, unit(options), tally.seconds);
  for (const auto& [name, fraction] : kPercentiles) {
    fmt::format_to(std::back_inserter(out), "  {} {:.1f}", name, tally.percentile_us(fraction));
  }
  fmt::format_to(std::back_inserter(out), "  max {:.1f}\n", tally.latency_max_us());
  if (options.handshakes)
    fmt::format_to(std::back_inserter(out), "resumed {}  errors {}", tally.resumed, tally.errors());
  else
    fmt::format_to(std::back_inserter(out), "hits {}  misses {}  errors {}", tally.hits, tally.misses, tally.errors());
  for (std::size_t i = 0; i < kTroubles; ++i) {
    const std::uint64_t count = tally.errors(static_cast<Trouble>(i));
    if (count > 0) fmt::format_to(std::back_inserter(out), "\n  {} {}", kTroubleNames[i], count);
  }
  if (!tally.first_trouble().empty()) out += "\nfirst error: " + tally.first_trouble();
  if (options.rate) out += open_loop_lines(options, tally.pace);
  if (!tally.cipher.empty()) out += "\n" + tally.cipher;
  if (tally.target_cpu_seconds && tally.requests > 0) {
    fmt::format_to(std::back_inserter(out), "\ntarget CPU {:.2f} us/{}", target_cpu_us(tally), unit(options));
  }
  return out;
}

}  // namespace pelikan::tools::bench
