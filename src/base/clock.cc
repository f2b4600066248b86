#include "base/clock.h"

#include <ctime>

namespace pelikan {
namespace {

std::uint64_t read_ns(clockid_t id) noexcept {
  timespec ts{};
  clock_gettime(id, &ts);
  return static_cast<std::uint64_t>(ts.tv_sec) * kNanosPerSecond + static_cast<std::uint64_t>(ts.tv_nsec);
}

// The two clocks are read one after the other and drift: a millisecond between them is none.
std::int64_t unix_to_mono_sec(std::uint64_t mono_ns, std::uint64_t unix_ns) noexcept {
  constexpr std::int64_t kTolerance = 1'000'000;
  constexpr auto kSecond = static_cast<std::int64_t>(kNanosPerSecond);
  const std::int64_t offset = static_cast<std::int64_t>(mono_ns) - static_cast<std::int64_t>(unix_ns) - kTolerance;
  return offset > 0 ? (offset + kSecond - 1) / kSecond : offset / kSecond;  // division rounds a negative number up
}

}  // namespace

// The seconds begin with the wall clock's, so that a deadline given as a Unix time falls on a whole second here too.
SystemClock::SystemClock() noexcept : start_ns_(read_ns(CLOCK_BOOTTIME) - read_ns(CLOCK_REALTIME) % kNanosPerSecond) {}

Time SystemClock::now() const noexcept {
  const std::uint64_t ns = read_ns(CLOCK_BOOTTIME);
  const std::uint64_t since_start = ns - start_ns_;
  const std::uint64_t whole = since_start / kNanosPerSecond;
  const std::uint64_t rounded_up = (since_start + kNanosPerSecond - 1) / kNanosPerSecond;
  const std::uint64_t unix_ns = read_ns(CLOCK_REALTIME);
  return {.floor_sec = static_cast<std::uint32_t>(kStartSec + whole),
          .ceil_sec = static_cast<std::uint32_t>(kStartSec + rounded_up),
          .unix_sec = static_cast<std::int64_t>(unix_ns / kNanosPerSecond),
          .unix_to_mono_sec = unix_to_mono_sec(kStartSec * kNanosPerSecond + since_start, unix_ns),
          .mono_ns = ns};
}

}  // namespace pelikan
