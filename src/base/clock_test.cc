#include "base/clock.h"

#include <gtest/gtest.h>

#include <cstdlib>

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
    // The wall clock's next second is the monotonic clock's next second.
    ASSERT_LE(std::abs(now.unix_sec + now.unix_to_mono_sec - std::int64_t{now.floor_sec}), 1);
    last = now;
  }
}

}  // namespace
}  // namespace pelikan
