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
  EXPECT_EQ(pool.bytes_in_use(), BufferPool::kSmallBlockBytes);
  buffer.append(std::string(BufferPool::kSmallBlockBytes, 'y'));
  EXPECT_EQ(pool.bytes_in_use(), BufferPool::kBlockBytes);
  buffer.reset();
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
