#include "base/buffer.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace pelikan {
namespace {

TEST(Buffer, HoldsNoMemoryWhenEmpty) {
  BufferPool pool(1 << 20);
  Buffer buffer(pool);
  EXPECT_EQ(buffer.capacity(), 0u);
  buffer.append("x");
  EXPECT_EQ(pool.bytes_in_use(), BufferPool::kBlockBytes);
  buffer.reset();
  EXPECT_EQ(pool.bytes_in_use(), 0u);
}

TEST(Buffer, SaysWhenThePoolIsOverItsLimit) {
  BufferPool pool(BufferPool::kBlockBytes);
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
