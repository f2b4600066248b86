#include "net/wakeup.h"

#include <sys/eventfd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>

namespace pelikan::net {

Wakeup::Wakeup() : fd_(::eventfd(0, EFD_CLOEXEC)) {
  if (!fd_) throw std::runtime_error("eventfd: " + std::string(std::strerror(errno)));
}

void Wakeup::signal() noexcept {
  if (!state_.signal()) return;
  const std::uint64_t one = 1;
  while (::write(fd_.get(), &one, sizeof(one)) < 0 && errno == EINTR) {
  }
}

}  // namespace pelikan::net
