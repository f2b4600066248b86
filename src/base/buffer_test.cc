#include "base/buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace pelikan {
namespace {

TEST(Buffer, HoldsNoMemoryWhenEmpty) {
  BufferPool pool(1 << 20);
  Buffer buffer(pool);
  EXPECT_EQ(buffer.capacity(), 0u);
  buffer.append("x");
  EXPECT_EQ(pool.bytes_in_use(), BufferPool::kSmallBlockBytes);
  buffer.append(std::string(BufferPool::kSmallBlockBytes, 'y'));
  EXPECT_EQ(pool.bytes_in_use(), BufferPool::kBlockBytes);
  buffer.reset();
  EXPECT_EQ(pool.bytes_in_use(), 0u);
}

TEST(BufferPool, GivesBlocksOfTheSizesItKeeps) {
  BufferPool pool(1 << 20);
  const std::pair<std::size_t, std::size_t> sizes[] = {
      {1, 2048},          {2048, 2048},       {2049, 16'384},     {16'384, 16'384},   {16'385, 32'768},
      {100'000, 131'072}, {524'288, 524'288}, {524'289, 524'289}, {600'000, 600'000}, {1, 2048},
  };
  for (const auto& [wanted, given] : sizes) {
    std::size_t bytes = wanted;
    char* block = pool.allocate(bytes);
    EXPECT_EQ(bytes, given) << wanted;
    std::memset(block, 'x', bytes);  // for a sanitizer to see
    EXPECT_EQ(pool.bytes_in_use(), given);
    pool.release(block, bytes);
    EXPECT_EQ(pool.bytes_in_use(), 0u);
  }
  EXPECT_EQ(pool.bytes_kept(), 2048u + 16'384 + 32'768 + 131'072 + 524'288);
}

TEST(BufferPool, GivesWhatItKeptLastFirst) {
  BufferPool pool(1 << 20);
  for (std::size_t bytes : {std::size_t{2048}, std::size_t{16'384}, std::size_t{262'144}}) {
    char* first = pool.allocate(bytes);
    char* second = pool.allocate(bytes);
    pool.release(first, bytes);
    pool.release(second, bytes);
    EXPECT_EQ(pool.bytes_kept(), 2 * bytes);
    char* again = pool.allocate(bytes);
    EXPECT_EQ(again, second);
    EXPECT_EQ(pool.bytes_kept(), bytes);
    EXPECT_EQ(pool.allocate(bytes), first);
    EXPECT_EQ(pool.bytes_kept(), 0u);
    std::free(first);
    std::free(second);
  }
}

// What a load of other sizes left behind makes room: else the blocks that are needed now would never be kept.
TEST(BufferPool, KeepsTheLargeBlocksThatWereReleasedLast) {
  BufferPool pool(1 << 30);
  for (std::size_t bytes : {std::size_t{524'288}, std::size_t{32'768}, std::size_t{262'144}, std::size_t{524'288}}) {
    const std::size_t count = BufferPool::kKeptLargeBytesMax / bytes;
    std::vector<char*> blocks;
    for (std::size_t i = 0; i < count; ++i) blocks.push_back(pool.allocate(bytes));
    for (char* block : blocks) pool.release(block, bytes);
    EXPECT_EQ(pool.bytes_kept(), BufferPool::kKeptLargeBytesMax);
    for (auto block = blocks.rbegin(); block != blocks.rend(); ++block) EXPECT_EQ(pool.allocate(bytes), *block);
    EXPECT_EQ(pool.bytes_kept(), 0u);
    for (char* block : blocks) pool.release(block, bytes);
  }
}

// Random sizes taken and given back in any order: never more kept than the limits, and all that is in use counted.
TEST(BufferPool, KeepsAFewAndCountsAll) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  constexpr std::size_t kKeptMax =
      BufferPool::kKeptBlocksMax * (BufferPool::kSmallBlockBytes + BufferPool::kBlockBytes) +
      BufferPool::kKeptLargeBytesMax;
  BufferPool pool(1 << 30);
  std::vector<std::pair<char*, std::size_t>> taken;
  std::size_t in_use = 0;
  std::size_t kept_most = 0;
  for (int step = 0; step < 20'000; ++step) {
    const bool growing = step % 2'000 < 1'000;
    if (taken.empty() || random() % 4 < (growing ? 3 : 1)) {
      std::size_t bytes = 1 + random() % (std::size_t{1} << (random() % 21));
      char* block = pool.allocate(bytes);
      block[0] = block[bytes - 1] = 'x';
      taken.emplace_back(block, bytes);
      in_use += bytes;
    } else {
      std::swap(taken[random() % taken.size()], taken.back());
      in_use -= taken.back().second;
      pool.release(taken.back().first, taken.back().second);
      taken.pop_back();
    }
    ASSERT_EQ(pool.bytes_in_use(), in_use);
    ASSERT_LE(pool.bytes_kept(), kKeptMax);
    kept_most = std::max(kept_most, pool.bytes_kept());
  }
  EXPECT_GT(kept_most, kKeptMax / 2);
  for (const auto& [block, bytes] : taken) pool.release(block, bytes);
  EXPECT_EQ(pool.bytes_in_use(), 0u);
}

// A buffer that goes to another thread counts in no pool on the way, and then in the other thread's.
TEST(Buffer, MovesFromPoolToPool) {
  BufferPool from(1 << 20);
  BufferPool to(1 << 20);
  Buffer buffer(from);
  buffer.append("hello");
  buffer.leave_pool();
  EXPECT_EQ(from.bytes_in_use(), 0u);
  EXPECT_EQ(to.bytes_in_use(), 0u);
  Buffer arrived = std::move(buffer);
  arrived.join(to);
  EXPECT_EQ(to.bytes_in_use(), BufferPool::kSmallBlockBytes);
  arrived.append(std::string(100'000, 'x'));
  EXPECT_EQ(arrived.view().substr(0, 6), "hellox");
  arrived.reset();
  EXPECT_EQ(to.bytes_in_use(), 0u);
  Buffer lost(from);
  lost.append("never arrives");
  lost.leave_pool();  // its destructor frees it
}

TEST(Buffer, CountsWhatIsElsewhereAgainstTheLimit) {
  BufferPool pool(2 * BufferPool::kSmallBlockBytes);
  Buffer buffer(pool);
  buffer.append("x");
  pool.set_bytes_elsewhere(BufferPool::kSmallBlockBytes);
  EXPECT_FALSE(pool.over_limit());
  pool.set_bytes_elsewhere(BufferPool::kSmallBlockBytes + 1);
  EXPECT_TRUE(pool.over_limit());
}

TEST(Buffer, SaysWhenThePoolIsOverItsLimit) {
  BufferPool pool(BufferPool::kSmallBlockBytes);
  Buffer one(pool);
  one.append("x");
  EXPECT_FALSE(pool.over_limit());
  Buffer two(pool);
  two.append("x");
  EXPECT_TRUE(pool.over_limit());
  two = Buffer(pool);
  EXPECT_FALSE(pool.over_limit());
}

// Random appends and consumes against a string: the same bytes in the same order, whatever moved or grew.
TEST(Buffer, BehavesAsAStringDoes) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  BufferPool pool(1 << 30);
  Buffer buffer(pool);
  std::string model;
  for (int step = 0; step < 20'000; ++step) {
    if (random() % 3 != 0) {
      const std::string bytes(random() % 3000, static_cast<char>('a' + step % 26));
      buffer.append(bytes);
      model += bytes;
    } else {
      const std::size_t count = model.empty() ? 0 : random() % (model.size() + 1);
      buffer.consume(count);
      model.erase(0, count);
    }
    ASSERT_EQ(buffer.view(), model);
  }
}

}  // namespace
}  // namespace pelikan
