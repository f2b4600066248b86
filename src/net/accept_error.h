// What a failed accept() means.
#pragma once

#include <cerrno>

namespace pelikan::net {

// True: that one connection is lost, the next may be accepted at once. False: accepting must stop for a while.
[[nodiscard]] constexpr bool lost_one_connection(int error) noexcept {
  switch (error) {
    case ECONNABORTED:
    case EINTR:
    case EPERM:  // refused by a firewall rule
    case EPROTO:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case ENONET:
    case ETIMEDOUT: return true;
    default: return false;
  }
}

}  // namespace pelikan::net
