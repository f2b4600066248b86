#include "net/socket.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <utility>

namespace pelikan::net {
namespace {

using Addresses = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

[[noreturn]] void fail(const std::string& what, int error) {
  throw std::runtime_error(what + ": " + std::strerror(error));
}

std::string with_port(const std::string& host, std::uint16_t port) {
  const bool is_ipv6 = host.find(':') != std::string::npos;
  return (is_ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

// An empty host means every address of this machine.
Addresses resolve(const std::string& host, std::uint16_t port, int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.empty() ? nullptr : host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0) {
    throw std::runtime_error("cannot resolve '" + host +
                             "': " + (error == EAI_SYSTEM ? std::strerror(errno) : ::gai_strerror(error)));
  }
  return {found, &::freeaddrinfo};
}

void set_option(int fd, int level, int name, int value) noexcept {
  ::setsockopt(fd, level, name, &value, sizeof(value));
}

std::string advice(int error) {
  switch (error) {
    case EADDRINUSE: return "address in use: another server runs there; stop it or choose another port";
    case EADDRNOTAVAIL: return "this machine has no such address";
    case EACCES: return "not permitted: ports below 1024 need CAP_NET_BIND_SERVICE";
    default: return std::strerror(error);
  }
}

sockaddr_un unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path) || path.find('\0') != std::string::npos) {
    throw std::runtime_error("unix socket path '" + path + "' must have 1 to " +
                             std::to_string(sizeof(address.sun_path) - 1) + " bytes");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

const sockaddr* generic(const sockaddr_un& address) { return reinterpret_cast<const sockaddr*>(&address); }

// A socket file that refuses connections was left behind by a server that is gone.
void remove_stale(const std::string& path, const sockaddr_un& address) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return;
    fail("unix socket " + path, errno);
  }
  if (!S_ISSOCK(status.st_mode))
    throw std::runtime_error("unix socket " + path + ": there is a file that is no socket");
  const Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe) fail("unix socket " + path, errno);
  if (::connect(probe.get(), generic(address), sizeof(address)) == 0 || errno == EAGAIN) {
    throw std::runtime_error("unix socket " + path + ": address in use: another server runs there");
  }
  if (errno != ECONNREFUSED) fail("unix socket " + path, errno);
  if (::unlink(path.c_str()) != 0) fail("unix socket " + path + ": cannot remove the stale socket", errno);
}

using AddressOf = int (*)(int, sockaddr*, socklen_t*);

std::string name_of(int fd, AddressOf address_of) {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  if (address_of(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return "unknown";
  std::array<char, INET6_ADDRSTRLEN + 32> host{};
  if (address.ss_family == AF_UNIX) {
    const auto& path = reinterpret_cast<const sockaddr_un&>(address).sun_path;
    const std::size_t bytes = length - offsetof(sockaddr_un, sun_path);
    return bytes == 0 || path[0] == '\0' ? "unix:" : "unix:" + std::string(path, ::strnlen(path, bytes));
  }
  if (::getnameinfo(reinterpret_cast<const sockaddr*>(&address), length, host.data(), host.size(), nullptr, 0,
                    NI_NUMERICHOST) != 0) {
    return "unknown";
  }
  const in_port_t port = address.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                                                       : reinterpret_cast<const sockaddr_in&>(address).sin_port;
  return with_port(host.data(), ntohs(port));
}

}  // namespace

Listening listen_tcp(const std::string& host, std::uint16_t port, int backlog) {
  const std::string name = with_port(host, port);
  const Addresses addresses = resolve(host, port, AI_PASSIVE);
  int error = EADDRNOTAVAIL;
  for (const addrinfo* address = addresses.get(); address != nullptr; address = address->ai_next) {
    Fd fd(::socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (fd) {
      set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
      set_no_delay(fd.get());  // inherited by every accepted socket, without a system call for each
      if (::bind(fd.get(), address->ai_addr, address->ai_addrlen) == 0 && ::listen(fd.get(), backlog) == 0) {
        std::string bound = local_name(fd.get());
        return {std::move(fd), std::move(bound)};
      }
    }
    error = errno;
  }
  throw std::runtime_error("cannot listen on " + name + ": " + advice(error));
}

Listening listen_unix(const std::string& path, unsigned mode, int backlog) {
  const sockaddr_un address = unix_address(path);
  remove_stale(path, address);
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) fail("unix socket " + path, errno);
  // The mode is set between bind() and listen(): nobody can connect before it holds.
  if (::bind(fd.get(), generic(address), sizeof(address)) != 0 || ::chmod(path.c_str(), mode) != 0 ||
      ::listen(fd.get(), backlog) != 0) {
    fail("cannot listen on unix socket " + path, errno);
  }
  return {std::move(fd), "unix:" + path};
}

std::string peer_name(int fd) { return name_of(fd, &::getpeername); }
std::string local_name(int fd) { return name_of(fd, &::getsockname); }

void set_no_delay(int fd) noexcept { set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1); }

std::size_t unread_bytes(int fd) noexcept {
  int bytes = 0;
  return ::ioctl(fd, FIONREAD, &bytes) == 0 && bytes > 0 ? static_cast<std::size_t>(bytes) : 0;
}

Fd connect_tcp(const std::string& host, std::uint16_t port) {
  const Addresses addresses = resolve(host, port, 0);
  int error = EADDRNOTAVAIL;
  for (const addrinfo* address = addresses.get(); address != nullptr; address = address->ai_next) {
    Fd fd(::socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (fd && ::connect(fd.get(), address->ai_addr, address->ai_addrlen) == 0) {
      set_no_delay(fd.get());
      return fd;
    }
    error = errno;
  }
  fail("cannot connect to " + with_port(host, port), error);
}

Fd connect_unix(const std::string& path) {
  const sockaddr_un address = unix_address(path);
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd || ::connect(fd.get(), generic(address), sizeof(address)) != 0) fail("cannot connect to unix:" + path, errno);
  return fd;
}

}  // namespace pelikan::net
