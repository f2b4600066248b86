#include "queue/waker.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <ctime>

#include "base/check.h"

namespace pelikan {
namespace {

using Word = std::atomic<std::uint32_t>;
static_assert(sizeof(Word) == sizeof(std::uint32_t) && Word::is_always_lock_free, "a futex is a plain 32-bit word");

constexpr long kMsPerSec = 1000;
constexpr long kNsPerMs = 1'000'000;
constexpr long kNsPerSec = 1'000'000'000;

timespec after(int timeout_ms) {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  time.tv_sec += timeout_ms / kMsPerSec;
  time.tv_nsec += timeout_ms % kMsPerSec * kNsPerMs;
  if (time.tv_nsec >= kNsPerSec) {
    ++time.tv_sec;
    time.tv_nsec -= kNsPerSec;
  }
  return time;
}

}  // namespace

bool Waker::wait(int timeout_ms) noexcept {
  if (timeout_ms != 0 && state_.begin_sleep()) sleep(timeout_ms);
  return state_.end_sleep();
}

// A deadline, not a duration: a sleep that a signal handler cut short goes on for what is left.
void Waker::sleep(int timeout_ms) noexcept {
  const timespec deadline = timeout_ms < 0 ? timespec{} : after(timeout_ms);
  while (state_.word().load(std::memory_order_relaxed) == SleepState::kAsleep) {
    const long result = ::syscall(SYS_futex, &state_.word(), FUTEX_WAIT_BITSET_PRIVATE, SleepState::kAsleep,
                                  timeout_ms < 0 ? nullptr : &deadline, nullptr, FUTEX_BITSET_MATCH_ANY);
    if (result == 0 || errno == EINTR || errno == EAGAIN) continue;
    CHECK(errno == ETIMEDOUT);
    return;
  }
}

void Waker::wake() noexcept { ::syscall(SYS_futex, &state_.word(), FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0); }

}  // namespace pelikan
