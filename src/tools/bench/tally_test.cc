// The report: the keys of the JSON that scripts rely on, and its numbers; and the sum of what several threads saw.
#include "tools/bench/tally.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "tools/bench/process_cpu.h"
#include "tools/bench/progress.h"
#include "tools/bench/report.h"

namespace pelikan::tools::bench {
namespace {

TEST(Tally, Json) {
  Tally tally;
  tally.answered(900, 10'000);
  tally.answered(99, 1'000'000);
  tally.answered(1, 50'000'000);
  tally.hits = 700;
  tally.misses = 100;
  tally.seconds = 2;
  tally.trouble(Trouble::kLost, 3, "first\r\n\xff");
  tally.trouble(Trouble::kRefused, 4, "second");
  const auto report = nlohmann::json::parse(json({}, tally));
  EXPECT_EQ(report["requests_per_second"], 500);
  EXPECT_NEAR(report["latency_us"]["p50"].get<double>(), 10, 0.1);
  EXPECT_NEAR(report["latency_us"]["p90"].get<double>(), 10, 0.1);
  EXPECT_NEAR(report["latency_us"]["p99"].get<double>(), 1000, 10);
  EXPECT_NEAR(report["latency_us"]["p999"].get<double>(), 1000, 10);
  EXPECT_EQ(report["latency_us"]["max"], 50'000);
  EXPECT_EQ(report["errors"], 7);
  EXPECT_EQ(report["hits"], 700);
  EXPECT_EQ(report["misses"], 100);
  EXPECT_FALSE(report.contains("target_cpu_us_per_request"));
  EXPECT_EQ(tally.first_trouble(), "first???");

  tally.target_cpu_seconds = 0.5;
  EXPECT_EQ(nlohmann::json::parse(json({}, tally))["target_cpu_us_per_request"], 500);
  EXPECT_NE(table({}, tally).find("first error: first???"), std::string::npos);
}

TEST(Tally, PercentilesAreExactToOnePercent) {
  for (std::uint64_t ns = 1; ns < (std::uint64_t{1} << 40); ns += 1 + ns / 97) {
    Tally tally;
    tally.answered(1, ns);
    tally.answered(1, std::uint64_t{1} << 40);
    const double told_ns = tally.percentile_us(0.5) * 1e3;
    EXPECT_GE(told_ns, static_cast<double>(ns) * 0.999999);
    EXPECT_LE(told_ns, static_cast<double>(ns) * 1.01);
  }
}

TEST(Tally, NothingHappened) {
  Tally tally;
  tally.target_cpu_seconds = 0;
  const auto report = nlohmann::json::parse(json({}, tally));
  EXPECT_EQ(report["requests_per_second"], 0);
  EXPECT_EQ(report["latency_us"]["p999"], 0);
  EXPECT_EQ(report["target_cpu_us_per_request"], 0);
  EXPECT_FALSE(table({}, tally).empty());
}

TEST(Tally, MeasuringStartsAfterFilling) {
  Tally tally;
  tally.answered(5, 5);
  tally.hits = tally.misses = 1;
  tally.trouble(Trouble::kRefused, 2, "out of memory");
  tally.start_measuring();
  EXPECT_EQ(tally.requests + tally.hits + tally.misses, 0u);
  EXPECT_EQ(tally.errors(), 2u);
}

TEST(Tally, OpenLoop) {
  Options options;
  options.rate = 1000;
  options.duration = std::chrono::seconds(2);
  Tally tally;
  tally.pace.sent = 1000;
  tally.pace.late = 10;
  tally.pace.held = 5;
  tally.pace.never_sent = 7;
  tally.pace.last_sent_ns = 4'000'000'000;
  tally.pace.lag_ns.buckets[metrics::FineCounts::Layout::bucket_of(2000)] = 1000;
  tally.pace.lag_max_ns = 2000;
  auto report = nlohmann::json::parse(json(options, tally));
  EXPECT_EQ(report["offered_rate"], 1000);
  EXPECT_EQ(report["achieved_rate"], 250);
  EXPECT_EQ(report["late_sends"], 10);
  EXPECT_EQ(report["held_sends"], 5);
  EXPECT_EQ(report["never_sent"], 7);
  EXPECT_EQ(report["send_lag_us"]["p99"], 2);
  EXPECT_EQ(report["send_lag_us"]["max"], 2);
  EXPECT_EQ(report["generator_kept_up"], true);
  EXPECT_NE(table(options, tally).find("7 never sent"), std::string::npos);
  EXPECT_EQ(table(options, tally).find("did not keep up"), std::string::npos);
  tally.pace.late = 11;
  report = nlohmann::json::parse(json(options, tally));
  EXPECT_EQ(report["generator_kept_up"], false);
  EXPECT_NE(table(options, tally).find("did not keep up"), std::string::npos);
}

TEST(Tally, Handshakes) {
  Options options;
  options.handshakes = options.tls = true;
  Tally tally;
  tally.answered(30, 500'000);
  tally.resumed = 20;
  tally.seconds = 3;
  tally.target_cpu_seconds = 0.3;
  tally.cipher = "TLSv1.3 TLS_AES_256_GCM_SHA384";
  tally.trouble(Trouble::kHandshake, 2, "expired");
  const auto report = nlohmann::json::parse(json(options, tally));
  EXPECT_EQ(report["handshakes_per_second"], 10);
  EXPECT_EQ(report["handshakes"], 30);
  EXPECT_EQ(report["resumed"], 20);
  EXPECT_NEAR(report["target_cpu_us_per_handshake"].get<double>(), 10'000, 1e-6);
  EXPECT_EQ(report["latency_us"]["max"], 500);
  EXPECT_EQ(report["error_kinds"]["handshake"], 2);
  EXPECT_EQ(report["tls"], tally.cipher);
  EXPECT_FALSE(report.contains("requests_per_second") || report.contains("hits"));
  EXPECT_NE(table(options, tally).find("10 handshakes/s"), std::string::npos);
}

TEST(Tally, ThreadsAreAddedUp) {
  Tally one, two;
  one.answered(10, 1000);
  one.hits = 4;
  one.seconds = 2;
  one.pace.sent = 10;
  one.pace.lag_max_ns = 5;
  two.answered(30, 8'000'000);
  two.misses = 3;
  two.resumed = 1;
  two.seconds = 1;
  two.pace.sent = 30;
  two.pace.late = 2;
  two.pace.last_sent_ns = 99;
  two.cipher = "TLSv1.2 X";
  two.trouble(Trouble::kLost, 1, "gone");
  Tally sum;
  sum += one;
  sum += two;
  EXPECT_EQ(sum.requests, 40u);
  EXPECT_EQ(sum.hits, 4u);
  EXPECT_EQ(sum.misses, 3u);
  EXPECT_EQ(sum.resumed, 1u);
  EXPECT_EQ(sum.seconds, 2);
  EXPECT_EQ(sum.per_second(), 20);
  EXPECT_NEAR(sum.percentile_us(0.25), 1, 0.01);
  EXPECT_EQ(sum.percentile_us(0.26), 8000);
  EXPECT_EQ(sum.latency_max_us(), 8000);
  EXPECT_EQ(sum.pace.sent, 40u);
  EXPECT_EQ(sum.pace.late, 2u);
  EXPECT_EQ(sum.pace.lag_max_ns, 5u);
  EXPECT_EQ(sum.pace.last_sent_ns, 99u);
  EXPECT_EQ(sum.errors(Trouble::kLost), 1u);
  EXPECT_EQ(sum.first_trouble(), "gone");
  EXPECT_EQ(sum.cipher, "TLSv1.2 X");
}

TEST(Progress, OneLine) {
  Tally before, now;
  before.answered(1000, 10'000);
  now.answered(4000, 10'000);
  now.trouble(Trouble::kRefused, 3, "no");
  EXPECT_EQ(progress_line(before, now, 2), "1500/s  p99 until now 10.0 us  errors 3");
}

TEST(Progress, ASnapshotIsTakenByTheThreadThatCounts) {
  Snapshot snapshot;
  EXPECT_FALSE(snapshot.ask(std::chrono::milliseconds(1))) << "nobody counts";
  std::jthread counting([&snapshot](const std::stop_token& stop) {
    Tally tally;
    while (!stop.stop_requested()) {
      tally.answered(1, 1);
      snapshot.answer(tally);
    }
  });
  std::uint64_t before = 0;
  for (int i = 0; i < 3; ++i) {
    const auto tally = snapshot.ask(std::chrono::minutes(1));
    ASSERT_TRUE(tally);
    EXPECT_GT(tally->requests, before);
    before = tally->requests;
  }
}

TEST(ProcessCpu, Ticks) {
  EXPECT_EQ(cpu_ticks("17 (a) b (c) R 1 2 3 4 5 6 7 8 9 10 40 2 0 0 20"), 42u);
  for (const auto* text : {"", "17 (cat", "17 (cat) R 1 2 3", "17 (cat) R 1 2 3 4 5 6 7 8 9 10 x y"})
    EXPECT_FALSE(cpu_ticks(text));
  EXPECT_TRUE(process_cpu_seconds(getpid()));
  EXPECT_FALSE(process_cpu_seconds(-1));
}

}  // namespace
}  // namespace pelikan::tools::bench
