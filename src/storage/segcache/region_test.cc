// What is memory when, as the kernel tells it (mincore).
#include "storage/segcache/region.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <string>
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

TEST(Region, IsPopulatedAheadInSmallSteps) {
  Region region(4 * kMiB, "a test");
  ASSERT_TRUE(region.commit(2 * kMiB));
  EXPECT_EQ(resident_bytes(region, 2 * kMiB), 0U);
  region.data()[0] = 'x';
  std::size_t before = resident_bytes(region, 2 * kMiB);
  for (int i = 0; i < 100; ++i) {
    region.populate(1, kMiB / 2);
    const std::size_t now = resident_bytes(region, 2 * kMiB);
    EXPECT_LE(now - before, kMiB / 8);
    before = now;
  }
  EXPECT_GE(before, kMiB / 2);
  EXPECT_LE(before, kMiB / 2 + kMiB / 8);
  EXPECT_EQ(region.data()[0], 'x');
  // Never what is not committed, and what was used meanwhile is not gone through again.
  for (int i = 0; i < 5; ++i) region.populate(2 * kMiB - kMiB / 4, kMiB);
  EXPECT_EQ(resident_bytes(region, 2 * kMiB) - before, kMiB / 4);
}

TEST(Region, IsPrefaultedAsFarAsIsAskedAndGrowsFromThere) {
  Region region(8 * kMiB, "a test");
  EXPECT_EQ(region.prefault(3 * kMiB - 1), 3 * kMiB);
  EXPECT_EQ(resident_bytes(region, 8 * kMiB), 3 * kMiB);
  EXPECT_EQ(region.real_bytes(1), 3 * kMiB);
  region.data()[3 * kMiB - 1] = 'x';  // it is committed
  ASSERT_TRUE(region.commit(8 * kMiB));
  for (int i = 0; i < 10; ++i) region.populate(2 * kMiB, kMiB);
  EXPECT_EQ(resident_bytes(region, 8 * kMiB), 3 * kMiB);
  for (int i = 0; i < 10; ++i) region.populate(3 * kMiB, kMiB);
  EXPECT_EQ(resident_bytes(region, 8 * kMiB), 4 * kMiB);
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
  constexpr std::size_t kAheadBytes = kMiB / 2;
  for (const std::size_t prefault_bytes : {std::size_t{0}, 5 * kMiB}) {
    Region region(80 * kMiB, "a test");
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(region.data()) % (2 * kMiB), 0U);
    if (prefault_bytes > 0) region.prefault(prefault_bytes);
    for (std::size_t used = 0; used <= region.reserved_bytes(); used += 64 << 10) {
      ASSERT_TRUE(region.commit(std::min(used + kAheadBytes, region.reserved_bytes())));
      region.populate(used, kAheadBytes);
      ASSERT_LE(mappings(region), 4U) << used;
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
