// What a run has seen. Each thread counts in its own; they are added up at the end. How it is told: report.h.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "metrics/histogram.h"
#include "tools/bench/pacer.h"

namespace pelikan::tools::bench {

enum class Trouble : std::uint8_t {
  kNotConnected,  // connections that could not be made
  kLost,          // connections that the target ended
  kGarbage,       // connections given up after bytes that are no reply
  kRefused,       // requests answered with an error
  kWrongValue,    // gets answered with other bytes than were stored
  kUnanswered,    // requests, or handshakes, without an answer when the run was over
  kHandshake,     // connections whose TLS handshake failed
};
inline constexpr std::size_t kTroubles = 7;

class Tally {
 public:
  std::uint64_t requests = 0;  // answered, one way or the other; with --handshakes: completed handshakes
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t keys = 0;     // asked for, set or deleted in answered requests
  std::uint64_t resumed = 0;  // of the handshakes
  double seconds = 0;
  std::optional<double> target_cpu_seconds;
  PaceCounts pace;     // of an open loop
  std::string cipher;  // what the first TLS handshake has agreed on: "TLSv1.3 TLS_AES_256_GCM_SHA384"

  void answered(std::uint64_t count, std::uint64_t latency_ns) noexcept;
  // `what` is kept for the report if it is the first.
  void trouble(Trouble kind, std::uint64_t count, std::string_view what);
  [[nodiscard]] std::uint64_t errors() const noexcept;
  [[nodiscard]] std::uint64_t errors(Trouble kind) const noexcept { return troubles_[static_cast<std::size_t>(kind)]; }
  [[nodiscard]] const std::string& first_trouble() const noexcept { return first_trouble_; }
  // Drops all but the troubles: what was counted so far belongs to no measurement.
  void start_measuring() noexcept;
  // Adds another thread's; `seconds` is the longer time.
  Tally& operator+=(const Tally& other);

  [[nodiscard]] double per_second() const noexcept;
  [[nodiscard]] double keys_per_second() const noexcept;
  [[nodiscard]] double percentile_us(double fraction) const noexcept;
  [[nodiscard]] double latency_max_us() const noexcept { return static_cast<double>(latency_max_ns_) / 1e3; }

 private:
  metrics::FineCounts latency_ns_;
  std::uint64_t latency_max_ns_ = 0;
  std::array<std::uint64_t, kTroubles> troubles_{};
  std::string first_trouble_;
};

}  // namespace pelikan::tools::bench
