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

// The seconds begin with the wall clock's, so that a deadline given as a Unix time falls on a whole second here too.
SystemClock::SystemClock() noexcept : start_ns_(read_ns(CLOCK_BOOTTIME) - read_ns(CLOCK_REALTIME) % kNanosPerSecond) {}

Time SystemClock::now() const noexcept {
  const std::uint64_t ns = read_ns(CLOCK_BOOTTIME);
  const std::uint64_t since_start = ns - start_ns_;
  const std::uint64_t whole = since_start / kNanosPerSecond;
  const std::uint64_t rounded_up = (since_start + kNanosPerSecond - 1) / kNanosPerSecond;
  return {.floor_sec = static_cast<std::uint32_t>(kStartSec + whole),
          .ceil_sec = static_cast<std::uint32_t>(kStartSec + rounded_up),
          .unix_sec = static_cast<std::int64_t>(read_ns(CLOCK_REALTIME) / kNanosPerSecond),
          .mono_ns = ns};
}

}  // namespace pelikan
