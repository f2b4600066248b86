// The admin port: one thread, one address, two dialects told apart by the first bytes of a connection.
//
//   text   stats · stats segments · version · flush_all · quit
//   HTTP   GET or HEAD of / · /metrics · /vars.json · /healthz · /readyz (503 unless set_ready(true) was said)
//          POST to /tls/reload
//
// With TLS (admin.use_tls) both are spoken inside it, and nothing outside it.
// It reads published counters. The one lock it shares is the metrics registry's, which a worker takes only to answer a
// client's `stats`; what only a worker can do is asked through Hooks.
// Owner:   main. Threads: its own, "admin"; the functions here may be called from any one thread at a time.
// Limits:  kMaxSessions connections; a line of 1 KiB, an HTTP header of 8 KiB, no body; admin.idle_timeout for each
//          handshake, request and reply. A client over a limit is closed, and told why if it is not one
//          connection too many; nobody else notices.
// Failure: the constructor throws one line (address in use, bad host); later trouble is logged and counted.
#pragma once

#include <cstddef>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "config/config.h"
#include "metrics/exposition.h"
#include "metrics/metrics.h"
#include "net/tls/options.h"

namespace pelikan::net::tls {
class Credentials;
}

namespace pelikan::admin {

struct AdminOptions : config::Section {
  AdminOptions() : Section("admin") {}
  config::Option<std::string> host{this, "host", "127.0.0.1", "address of the admin port, for text and HTTP"};
  config::Option<std::uint64_t> port{this, "port", 9999, "admin port; 0 picks a free one", config::Range{0, 65535}};
  config::Option<config::Duration> idle_timeout{this, "idle_timeout", config::Duration{10'000},
                                                "longest wait for an admin client to send or to read",
                                                config::Range{1, 3'600'000}};
  config::Option<bool> use_tls{this, "use_tls", false,
                               "TLS on the admin port, as section admin_tls says if it is set, else as tls says"};
};

// Which of the sections [admin_tls] and [tls] the admin port follows; null: plain text. Throws config::Error, one line,
// when the settings do not go together: there is no falling back to plain text or to the weaker of two sections.
[[nodiscard]] const net::tls::TlsOptions* choose_tls(const AdminOptions& admin, const net::tls::TlsOptions& admin_tls,
                                                     const net::tls::TlsOptions& tls);

// How the admin port reaches the rest of the process. An answer may come from any thread, at once or later, or never:
// the client is then told so after admin.idle_timeout. The functions are called on the admin thread and must not wait.
struct Hooks {
  std::string version;
  std::vector<metrics::Fact> facts;  // shown by stats, /vars.json and /metrics: I/O engine and why, ...
  // Empty: there is nothing to flush (the answer is ERROR). `done` is called when all that was stored before is gone.
  std::function<void(std::function<void()> done)> flush_all;
  // Empty: the answer is ERROR. The report is STAT lines without END.
  std::function<void(std::function<void(std::string report)> answer)> segments;
  // Empty: nothing here speaks TLS (the answer is 404). The report is one line per port: "tls: swapped\n"; else why
  // nothing was changed.
  std::function<void(std::function<void(std::expected<std::string, std::string> report)> answer)> reload_tls;
};

struct AdminMetrics : metrics::Group {
  metrics::Counter session_accept{this, "admin_session_accept", "admin connections accepted"};
  metrics::Counter session_reject{this, "admin_session_reject", "admin connections closed at once: too many"};
  metrics::Gauge session_curr{this, "admin_session_curr", "open admin connections"};
  metrics::Counter request_parse{this, "admin_request_parse", "admin requests understood"};
  metrics::Counter response_compose{this, "admin_response_compose", "admin replies written"};
  metrics::Counter event_error{this, "admin_event_error", "admin connections ended by an error or a timeout"};
  metrics::Counter tls_handshake{this, "admin_tls_handshake", "TLS handshakes completed on the admin port"};
  metrics::Counter tls_handshake_ex{this, "admin_tls_handshake_ex",
                                    "TLS handshakes on the admin port that failed, were refused or took too long"};
  metrics::Counter tls_on_plain_port{this, "admin_tls_on_plain_port",
                                     "connections that spoke TLS to an admin port of plain text"};
};

class AdminServer {
 public:
  static constexpr std::size_t kMaxSessions = 64;

  // `credentials` outlive this. REQUIRES: null unless admin.use_tls; else those of choose_tls().
  AdminServer(const AdminOptions& options, Hooks hooks, const net::tls::Credentials* credentials = nullptr);
  ~AdminServer();  // stop()
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  [[nodiscard]] const std::string& address() const noexcept;  // "127.0.0.1:9999", with the port that was bound
  void set_ready(bool ready) noexcept;
  // Closes all connections and ends the thread. May be called twice.
  void stop();

 private:
  class Port;
  std::unique_ptr<Port> port_;
  std::thread thread_;
};

}  // namespace pelikan::admin
