#include "admin/admin.h"

#include <pthread.h>

#include <utility>

#include "admin/port.h"

namespace pelikan::admin {

AdminServer::AdminServer(const AdminOptions& options, Hooks hooks)
    : port_(std::make_unique<Port>(options, std::move(hooks))), thread_([this] {
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
