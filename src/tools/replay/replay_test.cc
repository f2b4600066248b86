// Small traces whose right outcome can be counted by hand.
#include "tools/replay/replay.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/replay/options.h"
#include "tools/replay/source.h"

namespace pelikan::tools::replay {
namespace {

Trace trace_of(const std::string& text) {
  const std::string path = testing::TempDir() + "replay." + std::to_string(getpid());
  std::ofstream(path, std::ios::binary) << text;
  Source source(path);
  unlink(path.c_str());
  return read_twitter(source);
}

Outcome play(const std::string& text, std::uint64_t heap_bytes = 4 << 20) {
  storage::segcache::SegOptions options;
  options.heap_size.set(heap_bytes);
  return replay(trace_of(text), options);
}

TEST(Replay, TheFirstFifthIsNotCounted) {
  std::string text;
  for (int i = 0; i < 20; ++i) text += "1,a,10,90,0,get,0\n";
  const Outcome outcome = play(text);
  EXPECT_EQ(outcome.requests, 16u);
  EXPECT_EQ(outcome.gets, 16u);
  EXPECT_EQ(outcome.misses, 0u);
  EXPECT_EQ(outcome.items, 1u);
  EXPECT_EQ(outcome.get_bytes, 1600u);
}

TEST(Replay, Operations) {
  // A warm-up, then what each operation does to the get that follows it.
  const struct {
    const char* lines;
    std::uint64_t gets, misses;
  } rows[] = {
      {"1,a,4,10,0,get,0\n1,a,4,10,0,get,0\n", 2, 1},
      {"1,a,4,10,0,set,0\n1,a,4,10,0,get,0\n", 1, 0},
      {"1,a,4,10,0,add,0\n1,a,4,10,0,get,0\n", 1, 0},
      {"1,a,4,10,0,replace,0\n1,a,4,10,0,get,0\n", 1, 1},
      {"1,a,4,10,0,cas,0\n1,a,4,10,0,get,0\n", 1, 1},
      {"1,a,4,10,0,append,0\n1,a,4,10,0,get,0\n", 1, 1},
      {"1,a,4,10,0,incr,0\n1,a,4,10,0,get,0\n", 1, 1},
      {"1,a,4,10,0,set,0\n1,a,4,10,0,append,0\n1,a,4,10,0,prepend,0\n1,a,4,10,0,incr,0\n1,a,4,10,0,get,0\n", 1, 0},
      {"1,a,4,10,0,set,0\n1,a,4,0,0,delete,0\n1,a,4,10,0,get,0\n", 1, 1},
      {"1,a,4,10,0,set,10\n10,a,4,10,0,get,0\n", 1, 0},
      {"1,a,4,10,0,set,10\n11,a,4,10,0,get,0\n", 1, 1},
      {"1,a,4,10,0,set,4294967295\n4294967295,a,4,10,0,get,0\n", 1, 0},
      {"1,a,4,10,0,set,10\n1,a,4,10,0,append,0\n11,a,4,10,0,get,0\n", 1, 1},  // an append keeps the expiry
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.lines);
    const std::string lines = row.lines;
    const auto count = static_cast<std::size_t>(std::ranges::count(lines, '\n'));
    std::string text;  // a fifth of all, rounded down, so that exactly `lines` are counted
    for (std::size_t i = 0; i < count / 4; ++i) text += "1,w,1,1,0,get,0\n";
    text += lines;
    const Outcome outcome = play(text);
    EXPECT_EQ(outcome.gets, row.gets);
    EXPECT_EQ(outcome.misses, row.misses);
    EXPECT_EQ(outcome.refused, 0u);
  }
}

TEST(Replay, WhatCannotFitIsRefused) {
  std::string text;
  for (int i = 0; i < 10; ++i) text += "1," + std::to_string(i) + ",10,200000000,0,get,0\n";
  const Outcome outcome = play(text);
  EXPECT_EQ(outcome.misses, 8u);
  EXPECT_EQ(outcome.refused, 8u);
  EXPECT_EQ(outcome.items, 0u);
}

TEST(Replay, ASmallHeapEvictsAndALargeOneDoesNot) {
  std::string text;
  for (int i = 0; i < 20000; ++i)
    text += std::to_string(i / 100) + "," + std::to_string(i % 5000) + ",20,400,0,get,0\n";
  const Outcome large = play(text, 16 << 20);
  EXPECT_EQ(large.misses, 1000u);  // 4000 of the 5000 keys came in the warm-up
  EXPECT_DOUBLE_EQ(large.object_miss_ratio(), 1000.0 / 16000);
  EXPECT_EQ(large.items, 5000u);
  EXPECT_GT(large.overhead_bytes_per_item, 8);
  const Outcome small = play(text, 256 << 10);
  EXPECT_GT(small.misses, 8000u);
  EXPECT_LT(small.items, 700u);
  EXPECT_LE(small.heap_bytes, 256u << 10);
}

// Heap, index, ghost table and segment headers together are what was asked for.
TEST(Replay, WithinAMemoryLimitTheHeapGivesWay) {
  std::string text;
  for (int i = 0; i < 40000; ++i)
    text += std::to_string(i / 100) + "," + std::to_string(i * 7919 % 9973) + ",20,80,0,get,0\n";
  const Trace trace = trace_of(text);
  storage::segcache::SegOptions options;
  const std::uint64_t limit = 512 << 10;
  const Outcome outcome = replay_within(trace, options, limit);
  EXPECT_NEAR(static_cast<double>(outcome.memory_bytes), static_cast<double>(limit), limit / 50.0);
  EXPECT_GT(outcome.memory_bytes, outcome.heap_bytes + outcome.index_bytes);
  EXPECT_GT(outcome.policy_bytes, 0u);
  EXPECT_LT(outcome.index_bytes, limit / 4);
}

TEST(Report, Json) {
  const Trace trace =
      trace_of("1,a,4,6,0,get,0\n1,b,4,6,0,get,0\n1,a,4,6,0,get,0\n1,c,4,26,0,get,0\n1,a,4,6,0,get,0\nbad\n");
  storage::segcache::SegOptions options;
  options.heap_size.set(4 << 20);
  const Outcome outcome = replay(trace, options);
  const auto read = nlohmann::json::parse(json(outcome, trace));
  EXPECT_EQ(read["requests"], 4);
  EXPECT_EQ(read["gets"], 4);
  EXPECT_EQ(read["misses"], 2);
  EXPECT_EQ(read["object_miss_ratio"], 0.5);
  EXPECT_EQ(read["byte_miss_ratio"], 40.0 / 60);
  EXPECT_GT(read["ops_per_second"], 0);
  EXPECT_GT(read["heap_bytes"], 3 << 20);
  EXPECT_GT(read["index_bytes"], 0);
  EXPECT_TRUE(read["overhead_bytes_per_item"].is_number());
  EXPECT_EQ(read["footprint_bytes"], 50);
  EXPECT_EQ(read["malformed_lines"], 1);
  EXPECT_NE(describe(trace).find("1 malformed lines left out, the first is line 6"), std::string::npos);
  EXPECT_NE(table(outcome, trace).find("object miss ratio 0.5000"), std::string::npos);
}

TEST(Options, Accepted) {
  const char* words[] = {"pelikan-replay",  "trace.csv.zst",      "--format", "twitter",
                         "--set",           "seg.heap_size=64MB", "--set",    "seg.eviction=merge",
                         "--heap-fraction", "0.03,0.1,0.3",       "--json"};
  const Options options = parse_options(static_cast<int>(std::size(words)), words).options.value();
  EXPECT_EQ(options.trace, "trace.csv.zst");
  EXPECT_EQ(options.settings, (std::vector<std::string>{"seg.heap_size=64MB", "seg.eviction=merge"}));
  EXPECT_EQ(options.fractions, (std::vector<double>{0.03, 0.1, 0.3}));
  EXPECT_TRUE(options.json);
}

TEST(Options, FractionsOfMemory) {
  const char* words[] = {"pelikan-replay", "-", "--memory-fraction", "0.03,0.1"};
  const Options options = parse_options(static_cast<int>(std::size(words)), words).options.value();
  EXPECT_EQ(options.fractions, (std::vector<double>{0.03, 0.1}));
  EXPECT_TRUE(options.fractions_of_memory);
}

TEST(Options, Refused) {
  const std::vector<const char*> rows[] = {
      {},
      {"-", "--format", "oracle"},
      {"-", "--format", "segcache20"},
      {"-", "--format", "csv"},
      {"-", "--threads", "2"},
      {"-", "--heap-fraction", "0"},
      {"-", "--heap-fraction", "0.1,x"},
      {"-", "--heap-fraction", "2000"},
      {"-", "--memory-fraction", "0"},
      {"-", "--memory-fraction", "0.1", "--heap-fraction", "0.1"},
      {"-", "--policy", "merge"},
      {"a", "b"},
  };
  for (auto row : rows) {
    row.insert(row.begin(), "pelikan-replay");
    EXPECT_THROW((void)parse_options(static_cast<int>(row.size()), row.data()), UsageError) << row.back();
  }
}

}  // namespace
}  // namespace pelikan::tools::replay
