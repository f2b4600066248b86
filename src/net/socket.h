// Listening and connected sockets: made non-blocking and close-on-exec, named in messages.
#pragma once

#include <cstdint>
#include <string>

#include "net/fd.h"

namespace pelikan::net {

struct Listening {
  Fd fd;
  std::string name;  // "127.0.0.1:12321", "[::1]:12321", "unix:/run/pelikan.sock": with the port that was really bound
};

// Throw std::runtime_error with one line that names the address and the fix ("address in use: ...").
[[nodiscard]] Listening listen_tcp(const std::string& host, std::uint16_t port, int backlog);
// Removes a stale socket file (one that nobody accepts on); a live one or another kind of file is an error. `mode` is
// set as it is, whatever the umask.
[[nodiscard]] Listening listen_unix(const std::string& path, unsigned mode, int backlog);
// "127.0.0.1:40148", "[::1]:40148", "unix:" ; for logs and `stats conns`.
[[nodiscard]] std::string peer_name(int fd);
[[nodiscard]] std::string local_name(int fd);
// TCP_NODELAY; no effect on unix sockets.
void set_no_delay(int fd) noexcept;
// Bytes received by the kernel and not yet read; 0 when that cannot be told.
[[nodiscard]] std::size_t unread_bytes(int fd) noexcept;
// Blocking connect for tools and tests.
[[nodiscard]] Fd connect_tcp(const std::string& host, std::uint16_t port);
[[nodiscard]] Fd connect_unix(const std::string& path);

}  // namespace pelikan::net
