// The report: the keys of the JSON that scripts rely on, and its numbers.
#include "tools/bench/tally.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "tools/bench/process_cpu.h"

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
  const auto json = nlohmann::json::parse(tally.json());
  EXPECT_EQ(json["requests_per_second"], 500);
  EXPECT_NEAR(json["latency_us"]["p50"].get<double>(), 10, 0.7);
  EXPECT_NEAR(json["latency_us"]["p90"].get<double>(), 10, 0.7);
  EXPECT_NEAR(json["latency_us"]["p99"].get<double>(), 1000, 63);
  EXPECT_NEAR(json["latency_us"]["p999"].get<double>(), 1000, 63);
  EXPECT_EQ(json["latency_us"]["max"], 50'000);
  EXPECT_EQ(json["errors"], 7);
  EXPECT_EQ(json["hits"], 700);
  EXPECT_EQ(json["misses"], 100);
  EXPECT_FALSE(json.contains("target_cpu_us_per_request"));
  EXPECT_EQ(tally.first_trouble(), "first???");

  tally.target_cpu_seconds = 0.5;
  EXPECT_EQ(nlohmann::json::parse(tally.json())["target_cpu_us_per_request"], 500);
  EXPECT_NE(tally.table().find("first error: first???"), std::string::npos);
}

TEST(Tally, NothingHappened) {
  Tally tally;
  tally.target_cpu_seconds = 0;
  const auto json = nlohmann::json::parse(tally.json());
  EXPECT_EQ(json["requests_per_second"], 0);
  EXPECT_EQ(json["latency_us"]["p999"], 0);
  EXPECT_EQ(json["target_cpu_us_per_request"], 0);
  EXPECT_FALSE(tally.table().empty());
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

TEST(ProcessCpu, Ticks) {
  EXPECT_EQ(cpu_ticks("17 (a) b (c) R 1 2 3 4 5 6 7 8 9 10 40 2 0 0 20"), 42u);
  for (const auto* text : {"", "17 (cat", "17 (cat) R 1 2 3", "17 (cat) R 1 2 3 4 5 6 7 8 9 10 x y"})
    EXPECT_FALSE(cpu_ticks(text));
  EXPECT_TRUE(process_cpu_seconds(getpid()));
  EXPECT_FALSE(process_cpu_seconds(-1));
}

}  // namespace
}  // namespace pelikan::tools::bench
