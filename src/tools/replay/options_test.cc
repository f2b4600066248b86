// Command lines that are accepted and what they mean, and those that are refused.
#include "tools/replay/options.h"

#include <gtest/gtest.h>

#include <iterator>
#include <string>
#include <vector>

namespace pelikan::tools::replay {
namespace {

Options parse(std::vector<const char*> words) {
  words.insert(words.begin(), "pelikan-replay");
  return parse_options(static_cast<int>(words.size()), words.data()).options.value();
}

TEST(Options, Accepted) {
  const Options options = parse({"trace.csv.zst", "--format", "twitter", "--set", "seg.merge_max=4", "--set",
                                 "seg.segment_size=64KB", "--policy", "merge,fifo", "--heap-fraction", "0.03,0.5",
                                 "--heap-size", "16MB,25%,4096", "--whole-memory", "--chart", "a.svg", "--json"});
  EXPECT_EQ(options.trace, "trace.csv.zst");
  EXPECT_EQ(options.format, Format::kTwitter);
  EXPECT_EQ(options.settings, (std::vector<std::string>{"seg.merge_max=4", "seg.segment_size=64KB"}));
  EXPECT_EQ(options.policies, (std::vector<std::string>{"merge", "fifo"}));
  EXPECT_EQ(options.chart, "a.svg");
  EXPECT_TRUE(options.whole_memory);
  EXPECT_TRUE(options.json);
  std::vector<std::uint64_t> heaps;
  for (const HeapSize& size : options.heap_sizes) heaps.push_back(size.of(1000));
  EXPECT_EQ(heaps, (std::vector<std::uint64_t>{16 << 20, 250, 4096, 30, 500}));
}

TEST(Options, WithoutAnythingTheSettingsDecide) {
  const Options options = parse({"-"});
  EXPECT_EQ(options.format, Format::kTwitter);
  EXPECT_TRUE(options.policies.empty());
  EXPECT_TRUE(options.heap_sizes.empty());
  EXPECT_EQ(options.chart, "");
  EXPECT_FALSE(options.whole_memory);
  EXPECT_FALSE(options.json);
}

TEST(Options, TheFormatFollowsFromTheNameUnlessGiven) {
  EXPECT_EQ(parse({"c.sbin.zst"}).format, Format::kSegcache20);
  EXPECT_EQ(parse({"w.oracleGeneral.zst", "--format", "auto"}).format, Format::kOracle);
  EXPECT_EQ(parse({"c.sbin.zst", "--format", "oracle"}).format, Format::kOracle);
  EXPECT_EQ(parse({"-", "--format", "segcache20"}).format, Format::kSegcache20);
}

TEST(Options, TheTraceMayComeLast) {
  for (const char* option : {"--policy", "--heap-size", "--heap-fraction", "--set"}) {
    EXPECT_EQ(parse({option, option == std::string("--policy") ? "merge,fifo" : "1,2", "-"}).trace, "-") << option;
  }
}

TEST(Options, Refused) {
  const std::vector<const char*> rows[] = {
      {},
      {"-", "--format", "csv"},
      {"-", "--format", ""},
      {"-", "--threads", "0"},
      {"-", "--threads", "65"},
      {"-", "--heap-fraction", "0"},
      {"-", "--heap-fraction", "0.1,x"},
      {"-", "--heap-fraction", "2000"},
      {"-", "--heap-fraction", "nan"},
      {"-", "--heap-size", "0"},
      {"-", "--heap-size", "16XB"},
      {"-", "--heap-size", "0%"},
      {"-", "--heap-size", "%"},
      {"-", "--heap-size", "-3%"},
      {"-", "--heap-size", "3%%"},
      {"-", "--heap-size", "100001%"},
      {"-", "--heap-size", "99999999999999999999"},
      {"-", "--policies", "merge"},
      {"a", "b"},
  };
  for (const auto& row : rows) EXPECT_THROW((void)parse(row), UsageError) << (row.empty() ? "" : row.back());
}

}  // namespace
}  // namespace pelikan::tools::replay
