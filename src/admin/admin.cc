#include "admin/admin.h"

#include <fmt/format.h>
#include <pthread.h>

#include <utility>

#include "admin/port.h"

namespace pelikan::admin {

const net::tls::TlsOptions* choose_tls(const AdminOptions& admin, const net::tls::TlsOptions& admin_tls,
                                       const net::tls::TlsOptions& tls) {
  if (!admin.use_tls()) {
    if (admin_tls.any_set())
      throw config::Error("admin_tls: has no effect while admin.use_tls is false: set that to true, or nothing here");
    return nullptr;
  }
  const net::tls::TlsOptions& chosen = admin_tls.any_set() ? admin_tls : tls;
  if (chosen.certificate().empty() && chosen.certificate_chain().empty()) {
    throw config::Error(fmt::format("admin.use_tls: needs a certificate: set {}.certificate_chain and {}.private_key",
                                    chosen.name(), chosen.name()));
  }
  return &chosen;
}

AdminServer::AdminServer(const AdminOptions& options, Hooks hooks, const net::tls::Credentials* credentials)
    : port_(std::make_unique<Port>(options, std::move(hooks), credentials)), thread_([this] {
        ::pthread_setname_np(::pthread_self(), "admin");
        port_->run();
      }) {}

AdminServer::~AdminServer() { stop(); }

const std::string& AdminServer::address() const noexcept { return port_->name(); }

void AdminServer::set_ready(bool ready) noexcept { port_->set_ready(ready); }

void AdminServer::stop() {
  if (!thread_.joinable()) return;
  port_->request_stop();
  thread_.join();
}

}  // namespace pelikan::admin
