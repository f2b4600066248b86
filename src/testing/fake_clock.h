// A clock that a test sets. Any thread may read and advance it.
#pragma once

#include <atomic>

#include "base/clock.h"

namespace pelikan::testing {

class FakeClock final : public Clock {
 public:
  [[nodiscard]] Time now() const noexcept override {
    const std::uint32_t sec = sec_.load();
    return {.floor_sec = sec,
            .ceil_sec = sec,
            .unix_sec = kUnixStart + sec,
            .unix_to_mono_sec = -kUnixStart,
            .mono_ns = sec * kNanosPerSecond};
  }
  void advance(std::uint32_t seconds) noexcept { sec_.fetch_add(seconds); }

 private:
  static constexpr std::int64_t kUnixStart = 1'700'000'000;
  std::atomic<std::uint32_t> sec_{SystemClock::kStartSec};
};

}  // namespace pelikan::testing
