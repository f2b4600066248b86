#include "net/busy_poll.h"

#include <sched.h>

#include <algorithm>

namespace pelikan::net {
namespace {

constexpr std::uint64_t kNanosPerMilli = 1'000'000;

std::uint64_t now_ns() noexcept {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1));
}

}  // namespace

void BusyPoll::begin(int timeout_ms) noexcept {
  begun_ns_ = now_ns();
  const std::uint64_t limit_ns = timeout_ms < 0 ? longest_ns_ : static_cast<std::uint64_t>(timeout_ms) * kNanosPerMilli;
  end_ns_ = begun_ns_ + std::min(longest_ns_, limit_ns);
  yield_ns_ = begun_ns_ + kYieldNs;
}

// Without the yield, threads that poll on one core would keep each other, and their clients, waiting for whole time
// slices.
bool BusyPoll::time_is_left() noexcept {
  const std::uint64_t now = now_ns();
  if (now >= end_ns_) return false;
  if (now >= yield_ns_) {
    ::sched_yield();
    yield_ns_ = now + kYieldNs;
  }
  return true;
}

bool BusyPoll::end(bool found, int& timeout_ms) noexcept {
  const std::uint64_t passed_ns = now_ns() - begun_ns_;
  counts_.idle_ns += passed_ns;
  ++(found ? counts_.found : counts_.missed);
  if (timeout_ms > 0) {
    const std::uint64_t passed_ms = std::min<std::uint64_t>(passed_ns / kNanosPerMilli, INT32_MAX);
    timeout_ms = std::max(timeout_ms - static_cast<int>(passed_ms), 0);
  }
  return found || timeout_ms == 0;
}

}  // namespace pelikan::net
