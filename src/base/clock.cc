#include "base/clock.h"

#include <ctime>

namespace pelikan {
namespace {

std::uint64_t read_ns(clockid_t id) noexcept {
  timespec ts{};
  clock_gettime(id, &ts);
  return static_cast<std::uint64_t>(ts.tv_sec) * kNanosPerSecond + static_cast<std::uint64_t>(ts.tv_nsec);
}

}  // namespace

SystemClock::SystemClock() noexcept : start_ns_(read_ns(CLOCK_BOOTTIME)) {}

Time SystemClock::now() const noexcept {
  const std::uint64_t ns = read_ns(CLOCK_BOOTTIME);
  const std::uint64_t since_start = ns - start_ns_;
  const std::uint64_t whole = since_start / kNanosPerSecond;
  const std::uint64_t rounded_up = (since_start + kNanosPerSecond - 1) / kNanosPerSecond;
  return {.floor_sec = static_cast<std::uint32_t>(kStartSec + whole),
          .ceil_sec = static_cast<std::uint32_t>(kStartSec + rounded_up),
          .unix_sec = static_cast<std::int64_t>(read_ns(CLOCK_REALTIME_COARSE) / kNanosPerSecond),
          .mono_ns = ns};
}

}  // namespace pelikan
