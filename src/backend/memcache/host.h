// What the memcache commands need to know of, and ask of, the process they run in: the rest of `stats`, and `shutdown`.
// Owner:   the server's core implements it. Threads: called by every backend on its own; a few times per stats or
//          version command; implementations read published counters.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace pelikan::backend::memcache {

// Does not change while the process runs.
struct HostSettings {
  std::string version = "0.0.0";  // a.b.c: clients take it apart
  std::string engine = "epoll";   // of the event loop
  std::string engine_reason;      // why this one; may be empty
  std::string interface = "127.0.0.1";
  std::string unix_socket;  // empty: none
  std::uint16_t tcp_port = 0;
  std::uint64_t max_connections = 0;
  std::uint64_t threads = 1;
  std::string execution = "owned";  // who executes requests: see docs/threads.md
  std::uint64_t backlog = 0;
  std::uint64_t idle_timeout_sec = 0;  // 0: none
  bool shutdown_enabled = false;
  // TLS on the data port, if tls_certificate is not empty.
  std::string tls_certificate;
  std::string tls_private_key;
  std::string tls_ca_file;  // set: client certificates are required
  std::string tls_min_version;
};

struct HostCounts {
  std::uint64_t uptime_sec = 0;
  std::uint64_t curr_connections = 0;  // of clients, listeners not counted
  std::uint64_t total_connections = 0;
  std::uint64_t rejected_connections = 0;
  std::uint64_t idle_kicks = 0;
  std::uint64_t bytes_read = 0;
  std::uint64_t bytes_written = 0;
  std::uint64_t accept_pauses = 0;     // times the listener had to stop, for want of descriptors
  std::uint64_t accept_pauses_us = 0;  // and for how long
  std::uint64_t yields = 0;            // turns cut short by the fairness bound
  std::uint64_t connection_bytes = 0;  // memory of all sessions
  std::uint64_t tls_handshakes = 0;
  std::uint64_t tls_handshake_errors = 0;
  bool accepting = true;
};

struct HostConnection {
  int fd = -1;
  std::string_view address;  // tcp:127.0.0.1:40148 or unix:/path
  std::string_view listen_address;
  std::string_view state;             // one word
  std::string_view tls_version = {};  // "TLSv1.3"; empty: plain text
  std::string_view tls_peer = {};     // the name in the client's certificate; empty: none
  std::uint64_t idle_sec = 0;
};

class Host {
 public:
  virtual ~Host() = default;
  [[nodiscard]] virtual const HostSettings& settings() const = 0;
  [[nodiscard]] virtual HostCounts counts() const = 0;
  // f for each connection, at most `limit` of them.
  virtual void connections(std::size_t limit, const std::function<void(const HostConnection&)>& f) const = 0;
  // 0 to 2; remembered for `stats settings`, no log level follows it.
  virtual void set_verbosity(unsigned level) = 0;
  [[nodiscard]] virtual unsigned verbosity() const = 0;
  // Ends the process: at once, or after what was received is answered.
  virtual void shutdown(bool graceful) = 0;
};

}  // namespace pelikan::backend::memcache
