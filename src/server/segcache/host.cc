#include "server/segcache/host.h"

#include <string>

#include "metrics/metrics.h"
#include "net/socket.h"

namespace pelikan::server::segcache {

using backend::memcache::HostConnection;
using backend::memcache::HostCounts;
using backend::memcache::HostSettings;

namespace {

// The memcached whose protocol is spoken: clients choose what they send, and memccapable what it expects, by this
// number.
constexpr const char* kMemcachedVersion = "1.6.45";

// "tcp:127.0.0.1:40148", "unix:/path": as memcached writes them.
std::string with_transport(const std::string& address) {
  return address.starts_with("unix:") ? address : "tcp:" + address;
}

}  // namespace

ProcessHost::ProcessHost(const Surroundings& surroundings, bool shutdown_enabled)
    : surroundings_(surroundings), start_sec_(surroundings.clock.now().floor_sec) {
  const core::CoreOptions& core = surroundings.settings.core;
  settings_.version = kMemcachedVersion;
  settings_.interface = core.server.host();
  settings_.unix_socket = core.server.unix_socket();
  settings_.backlog = core.listener.backlog();
  settings_.idle_timeout_sec = static_cast<std::uint64_t>(core.server.idle_timeout().count() + 999) / 1000;
  settings_.shutdown_enabled = shutdown_enabled;
  settings_.threads = core.worker.threads();
  const net::tls::TlsOptions& tls = surroundings.settings.tls;
  settings_.tls_certificate = tls.certificate_chain().empty() ? tls.certificate() : tls.certificate_chain();
  settings_.tls_private_key = tls.private_key();
  settings_.tls_ca_file = tls.ca_file();
  settings_.tls_min_version = tls.min_version();
}

const HostSettings& ProcessHost::settings() const {
  std::call_once(completed_, [this] {
    core::Process& process = *surroundings_.process;
    settings_.engine = process.worker().loop().engine_name();
    settings_.engine_reason = process.engine().reason;
    settings_.execution = core::name_of(process.execution());
    settings_.max_connections = process.max_connections();
    settings_.tcp_port = process.tcp_port();
  });
  return settings_;
}

HostCounts ProcessHost::counts() const {
  const metrics::Snapshot now = metrics::snapshot();
  const auto value = [&now](std::string_view name) { return static_cast<std::uint64_t>(now.value(name)); };
  HostCounts counts;
  counts.uptime_sec = surroundings_.clock.now().floor_sec - start_sec_;
  counts.curr_connections = value("tcp_conn_curr");
  counts.total_connections = value("tcp_accept");
  counts.rejected_connections = value("tcp_reject");
  counts.idle_kicks = value("session_idle_kick");
  counts.bytes_read = value("session_recv_byte");
  counts.bytes_written = value("session_send_byte");
  counts.accept_pauses = value("listener_event_error");
  counts.accept_pauses_us = value("listener_pause_time");
  counts.accepting = value("listener_accepting") != 0;
  counts.yields = value("session_yield");
  counts.connection_bytes = value("session_buffer_byte");
  counts.tls_handshakes = value("stream_handshake");
  counts.tls_handshake_errors = value("stream_handshake_ex");
  return counts;
}

void ProcessHost::connections(std::size_t limit, const std::function<void(const HostConnection&)>& f) const {
  std::size_t told = 0;
  surroundings_.process->visit_connections([&](const core::ConnectionView& view) {
    if (told++ >= limit) return;
    const std::string address = with_transport(net::peer_name(view.fd));
    const std::string listen_address = with_transport(net::local_name(view.fd));
    f({.fd = view.fd,
       .address = address,
       .listen_address = listen_address,
       .state = view.waiting ? "conn_waiting" : "conn_read",
       .tls_version = view.tls_version,
       .tls_peer = view.tls_peer,
       .idle_sec = view.idle_sec});
  });
}

// Plain and graceful both answer what has been received: there is nothing that ending in disorder would make faster.
void ProcessHost::shutdown(bool /*graceful*/) { core::Process::request_shutdown(); }

}  // namespace pelikan::server::segcache
