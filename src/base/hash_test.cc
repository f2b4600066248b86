#include "base/hash.h"

#include <gtest/gtest.h>

namespace pelikan {
namespace {

TEST(KeyHash, DependsOnTheSecret) {
  const KeyHash one(1);
  const KeyHash same(1);
  const KeyHash other(2);
  const KeyHash random_one;
  const KeyHash random_two;
  for (const char* key : {"", "a", "0123456789", "a key that is longer than the sixteen bytes of the short path"}) {
    EXPECT_EQ(one(key), same(key));
    EXPECT_NE(one(key), other(key));
    EXPECT_NE(random_one(key), random_two(key));
  }
}

}  // namespace
}  // namespace pelikan
