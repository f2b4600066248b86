// The three ways a snapshot is shown: Prometheus text for /metrics, flat JSON for /vars.json, STAT lines for `stats`.
//
// Prometheus histograms are cumulative since the start, as Prometheus wants them. Percentiles (stats, JSON) are those
// of a sliding window, so that they follow what the server does now; one that stood still all that time shows 0.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "metrics/metrics.h"

namespace pelikan::metrics {

// Something to show that is no number: version, I/O engine and why.
struct Fact {
  std::string name;  // as a metric's
  std::string value;
};

// What histograms looked like at the last few ticks. Owner: the admin server. Threads: one.
class Window {
 public:
  explicit Window(std::size_t slices = 6) : slices_(slices) {}
  // Called at a steady pace. The window covers the last `slices` calls.
  void advance(const Snapshot& now);
  // What was recorded since the window began. REQUIRES: `sample` is of a snapshot newer than the last advance().
  [[nodiscard]] HistogramCounts recent(const Sample& sample) const;

 private:
  using Slice = std::map<std::string, std::shared_ptr<const HistogramCounts>, std::less<>>;
  std::size_t slices_;
  std::deque<Slice> past_;  // oldest first, at most slices_
};

inline constexpr const char* kPrometheusContentType = "text/plain; version=0.0.4; charset=utf-8";

// Facts become the labels of one gauge, pelikan_info.
[[nodiscard]] std::string prometheus_text(const Snapshot& snapshot, const std::vector<Fact>& facts);
// {"name": 1, "latency/p50": 2, ..., "fact": "text"}, sorted by name.
[[nodiscard]] std::string vars_json(const Snapshot& snapshot, const Window& window, const std::vector<Fact>& facts);
// "STAT name value\r\n" sorted by name, percentiles as name_p99; no END.
[[nodiscard]] std::string stat_lines(const Snapshot& snapshot, const Window& window, const std::vector<Fact>& facts);

}  // namespace pelikan::metrics
