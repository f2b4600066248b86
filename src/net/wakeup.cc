#include "net/wakeup.h"

#include <sys/eventfd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

namespace pelikan::net {

Wakeup::Wakeup() : fd_(::eventfd(0, EFD_CLOEXEC)) {
  if (!fd_) throw std::runtime_error("eventfd: " + std::string(std::strerror(errno)));
}

void Wakeup::signal() noexcept {
  if (state_.exchange(State::kSignalled, std::memory_order_acq_rel) != State::kAsleep) return;
  const std::uint64_t one = 1;
  while (::write(fd_.get(), &one, sizeof(one)) < 0 && errno == EINTR) {
  }
}

bool Wakeup::begin_sleep() noexcept {
  State expected = State::kAwake;
  return state_.compare_exchange_strong(expected, State::kAsleep, std::memory_order_acq_rel);
}

}  // namespace pelikan::net
