// What is memory when, as the kernel tells it (mincore).
#include "storage/segcache/region.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace pelikan::storage::segcache {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

std::size_t resident_bytes(const Region& region, std::size_t bytes) {
  const auto page_bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> resident(bytes / page_bytes);
  EXPECT_EQ(::mincore(region.data(), bytes, resident.data()), 0);
  return page_bytes * static_cast<std::size_t>(std::ranges::count_if(resident, [](auto page) { return page & 1; }));
}

TEST(Region, IsCommittedFromTheFrontAndNeverBeyondItsEnd) {
  Region region(4 * kMiB, "a test");
  EXPECT_TRUE(region.commit(1));
  region.data()[kMiB - 1] = 'x';
  EXPECT_TRUE(region.commit(4 * kMiB));
  EXPECT_EQ(region.data()[kMiB - 1], 'x');
  EXPECT_EQ(region.data()[4 * kMiB - 1], 0);
  EXPECT_FALSE(region.commit(4 * kMiB + 1));
}

// All steps that are due.
void populate(Region& region, std::size_t used_bytes) {
  while (region.populate(used_bytes)) continue;
}

TEST(Region, IsPopulatedAheadOfUse) {
  Region region(512 * kMiB, "a test");
  region.commit_ahead(0);
  EXPECT_EQ(resident_bytes(region, 512 * kMiB), 0U);
  region.data()[0] = 'x';
  EXPECT_TRUE(region.runs_short(1));
  EXPECT_TRUE(region.populate(1));
  EXPECT_EQ(resident_bytes(region, 512 * kMiB), 2 * kMiB);
  populate(region, 1);
  EXPECT_FALSE(region.runs_short(1));
  EXPECT_FALSE(region.populate(1));
  EXPECT_EQ(resident_bytes(region, 512 * kMiB), 4 * kMiB);
  EXPECT_EQ(region.real_bytes(1), 4 * kMiB);
  EXPECT_EQ(region.data()[0], 'x');
  // Nothing comes as long as enough is ready; where much is used, more is enough.
  EXPECT_FALSE(region.populate(2 * kMiB));
  region.commit_ahead(2 * kMiB + 1);
  EXPECT_TRUE(region.populate(2 * kMiB + 1));
  for (const auto& [used, real] : {std::pair{24 * kMiB, 28 * kMiB}, {64 * kMiB, 72 * kMiB}, {200 * kMiB, 208 * kMiB}}) {
    region.commit_ahead(used);
    populate(region, used);
    EXPECT_EQ(resident_bytes(region, 512 * kMiB), real);
  }
}

TEST(Region, IsPopulatedNoFartherThanItIsCommittedAndToItsEnd) {
  Region region(9 * kMiB, "a test");
  ASSERT_TRUE(region.commit(7 * kMiB));
  populate(region, 7 * kMiB);
  EXPECT_EQ(resident_bytes(region, 9 * kMiB), 4 * kMiB);  // the last huge page stays one mapping with what comes
  ASSERT_TRUE(region.commit(9 * kMiB));
  populate(region, 7 * kMiB);
  EXPECT_EQ(resident_bytes(region, 9 * kMiB), 9 * kMiB);
  EXPECT_FALSE(region.runs_short(9 * kMiB));
}

// What was used before it was ready stays what it is.
TEST(Region, CatchesUpWithWhatIsUsed) {
  Region region(64 * kMiB, "a test");
  ASSERT_TRUE(region.commit(64 * kMiB));
  region.data()[0] = 'x';
  region.data()[13 * kMiB] = 'y';
  populate(region, 14 * kMiB);
  EXPECT_EQ(resident_bytes(region, 64 * kMiB), 16 * kMiB);
  EXPECT_EQ(region.data()[0], 'x');
  EXPECT_EQ(region.data()[13 * kMiB], 'y');
}

TEST(Region, FillsNoGaps) {
  Region region(64 * kMiB, "a test");
  ASSERT_TRUE(region.commit(64 * kMiB));
  populate(region, 1);
  std::fill_n(region.data(), 9 * kMiB, 'x');
  region.give_back(3 * kMiB, kMiB);  // populated
  region.give_back(7 * kMiB, kMiB);  // only used
  EXPECT_FALSE(region.runs_short(9 * kMiB));
  EXPECT_FALSE(region.populate(9 * kMiB));
  EXPECT_EQ(resident_bytes(region, 64 * kMiB), 7 * kMiB);
  EXPECT_EQ(region.data()[8 * kMiB], 'x');
  EXPECT_EQ(region.data()[7 * kMiB], 0);
}

TEST(Region, MakesNothingRealThatWasUsedAtTheStart) {
  Region region(64 * kMiB, "a test", 7 * kMiB);
  region.commit_ahead(7 * kMiB);
  populate(region, 7 * kMiB);
  EXPECT_EQ(resident_bytes(region, 6 * kMiB), 0U);
  EXPECT_EQ(resident_bytes(region, 64 * kMiB), 4 * kMiB);
}

// One thread populates while another commits, writes, and, as large items do, gives back what was never written.
TEST(Region, IsPopulatedByAnotherThread) {
  constexpr std::size_t kBytes = 96 * kMiB;
  constexpr std::size_t kGapBytes = 3 * kMiB;
  constexpr std::size_t kChunkBytes = std::size_t{64} << 10;
  Region region(kBytes, "a test");
  std::atomic<std::size_t> used{0};
  std::atomic<bool> done{false};
  std::jthread other([&] {
    while (!done.load()) {
      if (!region.populate(used.load())) std::this_thread::yield();
    }
  });
  const auto write_to = [&](std::size_t end) {
    for (std::size_t at = used; at < end; at += kChunkBytes) {
      region.commit_ahead(at);
      std::fill_n(region.data() + at, kChunkBytes, static_cast<char>(at >> 16));
      used.store(at + kChunkBytes);
    }
  };
  write_to(kBytes / 2);
  while (region.runs_short(used)) std::this_thread::yield();
  const std::size_t gap = used;
  EXPECT_GE(region.real_bytes(0), gap + kGapBytes);
  EXPECT_GE(resident_bytes(region, kBytes), gap + kGapBytes);
  used += kGapBytes;
  region.give_back(gap, kGapBytes);
  write_to(kBytes);
  done.store(true);
  other.join();
  EXPECT_EQ(resident_bytes(region, kBytes), kBytes - kGapBytes);
  for (std::size_t at = 0; at < kBytes; at += kChunkBytes / 2) {
    const bool given_back = at >= gap && at < gap + kGapBytes;
    ASSERT_EQ(region.data()[at], given_back ? 0 : static_cast<char>(at >> 16)) << at;
  }
}

std::string content_of(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// How often the kernel had no huge page.
std::string fallbacks() {
  std::ifstream file("/proc/vmstat");
  std::string name;
  for (std::string value; file >> name >> value;) {
    if (name == "thp_fault_fallback") return value;
  }
  return "";
}

// Of the mappings of the region.
std::size_t huge_bytes(const Region& region) {
  const auto begin = reinterpret_cast<std::uintptr_t>(region.data());
  std::ifstream file("/proc/self/smaps");
  std::size_t kib = 0;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (const std::size_t end = line.find('-'); end != std::string::npos && line.find(' ') > end) {
      const std::uintptr_t from = std::stoull(line, nullptr, 16);
      inside = from >= begin && from < begin + region.reserved_bytes();
    } else if (inside && line.starts_with("AnonHugePages:")) {
      kib += std::stoull(line.substr(line.find(':') + 1));
    }
  }
  return kib << 10;
}

TEST(Region, IsPopulatedInHugePages) {
  const std::string setting = content_of("/sys/kernel/mm/transparent_hugepage/enabled");
  const std::string before = fallbacks();
  Region region(64 * kMiB, "a test");
  ASSERT_TRUE(region.commit(64 * kMiB));
  populate(region, 0);
  EXPECT_EQ(huge_bytes(region), 0U);  // whoever uses it first may come at any time
  for (std::size_t used = 0; used < 40 * kMiB; used += kMiB) populate(region, used);
  const bool has_none = setting.empty() || setting.contains("[never]") || fallbacks() != before;
  EXPECT_GE(huge_bytes(region), has_none ? 0 : 40 * kMiB);
}

TEST(Region, IsPrefaultedAsFarAsIsAskedAndGrowsFromThere) {
  Region region(16 * kMiB, "a test");
  EXPECT_EQ(region.prefault(3 * kMiB - 1), 3 * kMiB);
  EXPECT_EQ(resident_bytes(region, 16 * kMiB), 3 * kMiB);
  EXPECT_EQ(region.real_bytes(1), 3 * kMiB);
  region.data()[3 * kMiB - 1] = 'x';  // it is committed
  ASSERT_TRUE(region.commit(16 * kMiB));
  populate(region, kMiB);
  EXPECT_EQ(resident_bytes(region, 16 * kMiB), 3 * kMiB);
  populate(region, 2 * kMiB);
  EXPECT_EQ(resident_bytes(region, 16 * kMiB), 4 * kMiB);
  EXPECT_EQ(region.data()[3 * kMiB - 1], 'x');
}

// How many mappings of the kernel the region is, reserved parts included.
std::size_t mappings(const Region& region) {
  const auto begin = reinterpret_cast<std::uintptr_t>(region.data());
  std::ifstream file("/proc/self/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(file, line);) {
    const std::uintptr_t from = std::stoull(line, nullptr, 16);
    if (from >= begin && from < begin + region.reserved_bytes()) ++count;
  }
  return count;
}

// A huge page is one mapping's, and the number of mappings has a limit.
TEST(Region, StaysFewMappingsAsItGrowsAndBeginsWithAHugePage) {
  for (const std::size_t prefault_bytes : {std::size_t{0}, 5 * kMiB}) {
    for (const bool late : {false, true}) {
      Region region(200 * kMiB, "a test");
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(region.data()) % (2 * kMiB), 0U);
      if (prefault_bytes > 0) region.prefault(prefault_bytes);
      for (std::size_t used = 0; used < region.reserved_bytes(); used += 64 << 10) {
        region.commit_ahead(used);
        if (late) region.data()[used] = 'x';
        if (!late || used / kMiB % 10 == 9) populate(region, used);
        ASSERT_LE(mappings(region), 6U) << used;
      }
    }
  }
}

// More than one thread takes at once.
TEST(Region, IsPrefaultedWhole) {
  constexpr std::size_t kBytes = 200 * kMiB;
  Region region(kBytes, "a test");
  EXPECT_EQ(region.prefault(2 * kBytes), kBytes);
  EXPECT_EQ(resident_bytes(region, kBytes), kBytes);
  EXPECT_EQ(region.real_bytes(0), kBytes);
}

TEST(Region, GivesBackWhatWasPrefaultedAndGetsItBackByPages) {
  Region region(8 * kMiB, "a test");
  region.prefault(8 * kMiB);
  region.data()[3 * kMiB] = 'x';
  region.give_back(3 * kMiB, kMiB);
  EXPECT_EQ(resident_bytes(region, 8 * kMiB), 7 * kMiB);
  EXPECT_EQ(region.data()[2 * kMiB], 0);
  region.data()[3 * kMiB + 1] = 'y';
  EXPECT_EQ(region.data()[3 * kMiB], 0);
  EXPECT_EQ(resident_bytes(region, 8 * kMiB), 7 * kMiB + static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)));
}

std::string refusal(Region& region, std::size_t bytes) {
  try {
    region.prefault(bytes);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "none";
}

TEST(Region, IsNotPrefaultedBeyondWhatTheMachineHas) {
  const auto machine_bytes =
      static_cast<std::size_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  Region region(machine_bytes + kMiB, "a test");
  const std::string message = refusal(region, machine_bytes + kMiB);
  EXPECT_TRUE(message.starts_with("seg.prefault: a test takes ")) << message;
  EXPECT_TRUE(message.ends_with(" are available")) << message;
  EXPECT_EQ(resident_bytes(region, kMiB), 0U);
}

TEST(Region, SaysWhatTheKernelRefusesToPopulate) {
  Region region(4 * kMiB, "a test");
  ASSERT_TRUE(region.commit(4 * kMiB));
  ASSERT_EQ(::munmap(region.data() + kMiB, kMiB), 0);  // there is no memory for a hole
  EXPECT_EQ(refusal(region, 4 * kMiB),
            "seg.prefault: cannot have 4194304 bytes of memory for a test: Cannot allocate memory");
}

}  // namespace
}  // namespace pelikan::storage::segcache
