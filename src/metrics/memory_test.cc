// That the parts add up, and follow what happens. How near the sum comes to a real server's is tests/memory_test.py.
#include "metrics/memory.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <vector>

#include "metrics/process.h"

namespace pelikan::metrics {
namespace {

std::int64_t part(const std::vector<MemoryPart>& parts, std::string_view name) {
  for (const MemoryPart& each : parts) {
    if (each.name == name) return each.bytes;
  }
  ADD_FAILURE() << name;
  return -1;
}

TEST(Memory, TheTotalIsTheSumOfTheParts) {
  MemoryCollector memory;
  memory.mark();
  struct Storage : Group {
    Gauge heap{this, "heap_bytes", "h"};
    Gauge index{this, "hash_bytes", "i"};
    Gauge ghost{this, "policy_bytes", "g"};
  } storage;
  storage.heap.set(1 << 30);
  storage.index.set(1 << 20);
  storage.ghost.set(1 << 10);
  const std::vector<MemoryPart> parts = memory_parts(snapshot());
  EXPECT_EQ(part(parts, "heap"), 1 << 30);
  EXPECT_EQ(part(parts, "index"), 1 << 20);
  EXPECT_EQ(part(parts, "ghost"), 1 << 10);
  const std::int64_t sum =
      std::accumulate(parts.begin(), parts.end() - 2, std::int64_t{0}, [](std::int64_t so_far, const MemoryPart& each) {
        EXPECT_GE(each.bytes, 0) << each.name;
        return so_far + each.bytes;
      });
  EXPECT_EQ(part(parts, "total"), sum);
  EXPECT_GT(part(parts, "resident"), 0);
  EXPECT_GT(part(parts, "code"), 0);
}

TEST(Memory, WithoutAStorageOrACollectorThereIsNothingToTell) {
  const std::vector<MemoryPart> parts = memory_parts(snapshot());
  EXPECT_EQ(part(parts, "total"), 0);
}

TEST(Memory, ResidentMemoryFollowsUse) {
  const ResidentMemory before = resident_memory();
  std::vector<char> touched(32 << 20, 'x');
  const ResidentMemory after = resident_memory();
  EXPECT_GE(after.bytes - before.bytes, (30 << 20) * (std::memchr(touched.data(), 'x', 1) != nullptr));
  EXPECT_GE(after.virtual_bytes, after.bytes);
  EXPECT_LE(after.file_bytes, after.bytes);
}

}  // namespace
}  // namespace pelikan::metrics
