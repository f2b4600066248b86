// One reading of the clocks, taken once per loop turn and passed down; nothing below a worker asks the kernel for the
// time.
//
// Deadlines count whole seconds of a monotonic clock that goes on during suspend and never steps (CLOCK_BOOTTIME), so a
// wall clock that is set back or forth neither revives nor kills an item. `floor` decides whether a deadline has
// passed, `ceil` is what a TTL is added to: so nothing expires early, and nothing lives a whole second too long.
#pragma once

#include <cstdint>

namespace pelikan {

struct Time {
  std::uint32_t floor_sec = 0;  // monotonic, whole seconds gone by
  std::uint32_t ceil_sec = 0;   // the same, rounded up
  std::int64_t unix_sec = 0;    // wall clock
  // Added to a Unix time, the second of the monotonic clock at which that time is reached, rounded up.
  std::int64_t unix_to_mono_sec = 0;
  std::uint64_t mono_ns = 0;  // as the seconds, in nanoseconds; for latencies
};

inline constexpr std::uint64_t kNanosPerSecond = 1'000'000'000;

// Where a thread's Time comes from. Any thread may call now().
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual Time now() const noexcept = 0;
};

// The machine's clocks. The count of seconds starts near kStartSec at construction, so that "0 = never" stays free.
class SystemClock final : public Clock {
 public:
  static constexpr std::uint32_t kStartSec = 2;

  SystemClock() noexcept;
  [[nodiscard]] Time now() const noexcept override;

 private:
  std::uint64_t start_ns_;
};

}  // namespace pelikan
