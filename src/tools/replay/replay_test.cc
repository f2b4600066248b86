// Small traces whose right outcome can be counted by hand.
#include "tools/replay/replay.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "tools/replay/source.h"

namespace pelikan::tools::replay {
namespace {

Trace trace_of(const std::string& text) {
  const std::string path = testing::TempDir() + "replay." + std::to_string(getpid());
  std::ofstream(path, std::ios::binary) << text;
  Source source(path);
  unlink(path.c_str());
  return read_trace(source, Format::kTwitter);
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

// Threads share the requests and the storage: each request is played once, and what one stores the others find.
TEST(Replay, Threads) {
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += "1,key" + std::to_string(i % 1000) + ",8,90,0,get,0\n";
  storage::segcache::SegOptions options;
  options.heap_size.set(4 << 20);
  const Outcome outcome = replay(trace_of(text), options, 3);
  EXPECT_EQ(outcome.requests, 16'000u);
  EXPECT_EQ(outcome.gets, 16'000u);
  EXPECT_EQ(outcome.misses, 0u);
  EXPECT_EQ(outcome.items, 1000u);
  EXPECT_EQ(outcome.refused, 0u);

  options.heap_size.set(64 << 10);
  EXPECT_THROW((void)replay(trace_of(text), options, 3), config::Error);
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
  EXPECT_EQ(read["policy"], "seger");
}

TEST(Report, TheRowsOfTheTableStandUnderTheirHead) {
  Trace trace;
  trace.footprint_bytes = 10'000'000'000'000;
  const std::string row = table_row({.policy = "random_fifo",
                                     .gets = 4,
                                     .misses = 1,
                                     .refused = 123456789,
                                     .heap_bytes = 1'234'500'000'000,
                                     .segment_bytes = 1 << 20,
                                     .items = 99'999'999'999},
                                    trace);
  EXPECT_EQ(row.size(), table_head().size());
  const std::size_t end = table_head().find("object miss") + std::string_view("object miss").size();
  EXPECT_EQ(row.substr(end - 6, 6), "0.2500");
}

}  // namespace
}  // namespace pelikan::tools::replay
