#include "base/clock.h"

#include <gtest/gtest.h>

namespace pelikan {
namespace {

TEST(SystemClock, RoundsBothWaysAndNeverGoesBack) {
  const SystemClock clock;
  Time last = clock.now();
  EXPECT_GE(last.floor_sec, SystemClock::kStartSec);
  for (int i = 0; i < 10'000; ++i) {
    const Time now = clock.now();
    ASSERT_GE(now.mono_ns, last.mono_ns);
    ASSERT_GE(now.floor_sec, last.floor_sec);
    ASSERT_LE(now.ceil_sec - now.floor_sec, 1u);
    last = now;
  }
}

}  // namespace
}  // namespace pelikan
