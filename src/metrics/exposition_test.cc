// What is shown, to the byte for small cases; percentiles that move. promtool is asked by the admin port's tests.
#include "metrics/exposition.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "metrics/process.h"

namespace pelikan::metrics {
namespace {

Sample counter(const char* name, std::int64_t value) {
  return {{name, "help \\ \n", Kind::kCounter, Unit::kPlain}, value, {}};
}

Sample histogram(const char* name, Unit unit, std::initializer_list<std::uint64_t> values) {
  Sample sample{{name, "how long", Kind::kHistogram, unit}, 0, std::make_shared<HistogramCounts>()};
  for (const std::uint64_t value : values) {
    ++sample.histogram->buckets[bucket_of(value)];
    sample.histogram->sum += value;
  }
  return sample;
}

TEST(Exposition, PrometheusNamesTypesAndLabels) {
  const Snapshot snapshot{{counter("get", 3), counter("worker_event_total", 4),
                           Sample{{"open", "open things", Kind::kGauge, Unit::kPlain}, -2, {}}}};
  EXPECT_EQ(prometheus_text(snapshot, {{"engine", "epoll \"why\"\n\\"}}),
            "# HELP pelikan_info what this server is, as labels\n# TYPE pelikan_info gauge\n"
            "pelikan_info{engine=\"epoll \\\"why\\\" \\\\\"} 1\n"
            "# HELP get_total help \\\\  \n# TYPE get_total counter\nget_total 3\n"
            "# HELP worker_event_total help \\\\  \n# TYPE worker_event_total counter\nworker_event_total 4\n"
            "# HELP open open things\n# TYPE open gauge\nopen -2\n");
}

TEST(Exposition, PrometheusHistogramsAreCumulativeAndInSeconds) {
  const Snapshot snapshot{{histogram("latency", Unit::kNanoseconds, {1, 1023, 1024, 5'000'000'000, ~0ULL >> 20})}};
  const std::string text = prometheus_text(snapshot, {});
  EXPECT_NE(text.find("# TYPE latency_seconds histogram\nlatency_seconds_bucket{le=\"1.023e-06\"} 2\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("latency_seconds_bucket{le=\"2.047e-06\"} 3\n"), std::string::npos);
  EXPECT_NE(text.find("latency_seconds_bucket{le=\"8.589934591\"} 4\n"), std::string::npos);
  EXPECT_NE(text.find("latency_seconds_bucket{le=\"+Inf\"} 5\n"), std::string::npos);
  EXPECT_NE(text.find("latency_seconds_count 5\n"), std::string::npos);
  const std::string plain = prometheus_text({{histogram("depth", Unit::kPlain, {0, 1, 2, 3, 4})}}, {});
  EXPECT_NE(plain.find("depth_bucket{le=\"0\"} 1\ndepth_bucket{le=\"1\"} 2\ndepth_bucket{le=\"3\"} 4\n"),
            std::string::npos);
  EXPECT_NE(plain.find("depth_sum 10\n"), std::string::npos);
}

TEST(Exposition, StatLinesAndJson) {
  const Snapshot snapshot{{counter("get", 3), histogram("latency", Unit::kNanoseconds, {10, 10, 10})}};
  const Window window;
  EXPECT_EQ(stat_lines(snapshot, window, {{"engine", "epoll\r\nSTAT forged 1"}}),
            "STAT engine epoll  STAT forged 1\r\nSTAT get 3\r\nSTAT latency_p25 10\r\nSTAT latency_p50 10\r\n"
            "STAT latency_p75 10\r\nSTAT latency_p90 10\r\nSTAT latency_p99 10\r\nSTAT latency_p999 10\r\n"
            "STAT latency_p9999 10\r\n");
  const auto json = nlohmann::json::parse(vars_json(snapshot, window, {{"engine", "e\xff\"\n"}}));
  EXPECT_EQ(json["get"], 3);
  EXPECT_EQ(json["latency/p999"], 10);
  EXPECT_TRUE(json["engine"].is_string());
}

TEST(Window, PercentilesFollowTheLastSlices) {
  struct Latency : Group {
    Histogram latency{this, "test_window_latency", "how long"};
  } group;
  Window window(3);
  const auto p50 = [&] {
    const Snapshot now = snapshot();
    return window.recent(*now.find("test_window_latency")).percentile(0.5);
  };
  group.latency.record(15, 1000);
  EXPECT_EQ(p50(), 15U);
  window.advance(snapshot());
  EXPECT_EQ(p50(), 0U);
  group.latency.record(3, 10);
  EXPECT_EQ(p50(), 3U);
  for (int i = 0; i < 2; ++i) window.advance(snapshot());
  EXPECT_EQ(p50(), 3U);
  window.advance(snapshot());
  EXPECT_EQ(p50(), 0U);
}

TEST(Process, TellsPelikansNames) {
  const ProcessCollector process;
  const Snapshot now = snapshot();
  for (const char* name : {"pid", "ru_utime", "ru_stime", "ru_maxrss", "ru_ixrss", "ru_idrss", "ru_isrss", "ru_minflt",
                           "ru_majflt", "ru_nswap", "ru_inblock", "ru_oublock", "ru_msgsnd", "ru_msgrcv", "ru_nsignals",
                           "ru_nvcsw", "ru_nivcsw", "process_resident_memory_bytes", "uptime"}) {
    EXPECT_NE(now.find(name), nullptr) << name;
  }
  EXPECT_GT(now.value("process_resident_memory_bytes"), 0);
  EXPECT_GT(now.value("ru_maxrss"), 0);
}

}  // namespace
}  // namespace pelikan::metrics
