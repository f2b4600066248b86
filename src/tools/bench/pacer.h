// When an open loop sends: the intended times, and how well they were kept.
//
// The times are those of a Poisson process, as many independent clients make together: the gaps are exponential, and
// the processes of several threads add up to one of the sum of their rates. They follow from rate and seed alone,
// whatever the target does: a request that could not go at its time keeps its time, and its latency counts from there.
//
//   late:  a connection had room, and the request went more than kLateNs after its time: this program's doing
//   held:  it was due while all connections were full: the target's doing
//   never sent:  due, but the run was over
//
// Owner:   one client. Threads: one. Time: passed in, nanoseconds of any monotonic clock.
#pragma once

#include <cstdint>
#include <limits>

#include "metrics/histogram.h"
#include "tools/bench/random.h"

namespace pelikan::tools::bench {

struct PaceCounts {
  static constexpr std::uint64_t kLateNs = 1'000'000;

  std::uint64_t sent = 0;
  std::uint64_t late = 0;
  std::uint64_t held = 0;
  std::uint64_t never_sent = 0;
  std::uint64_t last_sent_ns = 0;  // since the beginning
  metrics::FineCounts lag_ns;      // from when a request could have gone until it went
  std::uint64_t lag_max_ns = 0;

  PaceCounts& operator+=(const PaceCounts& other) noexcept;
};

class Pacer {
 public:
  static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

  Pacer(double requests_per_second, std::uint64_t seed) noexcept;

  // Intended times lie in [begin_ns, end_ns).
  void start(std::uint64_t begin_ns, std::uint64_t end_ns) noexcept;
  // The next intended time; kNever when there are no more.
  [[nodiscard]] std::uint64_t next_ns() const noexcept { return next_ns_; }
  [[nodiscard]] bool due(std::uint64_t now_ns) const noexcept { return next_ns_ <= now_ns; }
  // One request is sent now; returns its intended time. REQUIRES: due(now_ns).
  std::uint64_t take(std::uint64_t now_ns) noexcept;
  // Something is due and cannot be sent, because all connections are full.
  void hold() noexcept { holding_ = true; }
  // No more is sent; what would have been is counted as never sent (for what lies far ahead, as many as are expected).
  void stop() noexcept;

  [[nodiscard]] const PaceCounts& counts() const noexcept { return counts_; }

 private:
  void draw() noexcept;

  double gap_ns_;  // mean
  Random random_;
  std::uint64_t begin_ns_ = 0;
  std::uint64_t end_ns_ = 0;
  double drawn_ns_ = 0;  // since the beginning, exact enough for a week
  std::uint64_t next_ns_ = kNever;
  bool holding_ = false;
  std::uint64_t room_since_ns_ = 0;  // before that time all connections were full
  PaceCounts counts_;
};

}  // namespace pelikan::tools::bench
