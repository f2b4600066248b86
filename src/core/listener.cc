#include "core/listener.h"

#include <sys/socket.h>

#include <array>
#include <cstring>

#include "log/log.h"

namespace pelikan::core {

Listener::Listener(const net::LoopOptions& loop, const std::vector<net::Listening>& sockets,
                   std::size_t max_connections, std::string refusal, Worker& worker, const Clock& clock)
    : loop_(net::make_loop(loop)),
      sockets_(sockets),
      max_connections_(max_connections),
      refusal_(std::move(refusal)),
      worker_(worker),
      clock_(clock) {}

void Listener::run() {
  for (const auto& socket : sockets_) loop_->listen(*this, socket.fd.get());
  metrics_.accepting.set(1);
  while (!stop_wanted_.load(std::memory_order_acquire)) {
    loop_->wait(paused_at_ns_ == 0 ? -1 : kAcceptPauseMs);
    metrics_.event_loop.add();
    if (paused_at_ns_ != 0) {
      metrics_.pause_time.add((clock_.now().mono_ns - paused_at_ns_) / 1000);
      paused_at_ns_ = 0;
      metrics_.accepting.set(1);
      loop_->resume_accept();
    }
    loop_->dispatch();
  }
  // What the kernel has completed by now is a connection like any other. A turn of io_uring accepts one.
  std::uint64_t before = 0;
  int turns = 0;
  do {
    before = metrics_.tcp_accept.value();
    loop_->wait(0);
    loop_->dispatch();
  } while (metrics_.tcp_accept.value() != before && ++turns < kLastTurns);
  loop_->pause_accept();
  loop_->wait(0);
  loop_->dispatch();
}

void Listener::stop() {
  stop_wanted_.store(true, std::memory_order_release);
  loop_->wake();
}

void Listener::on_accept(net::Fd fd) {
  metrics_.tcp_accept.add();
  if (worker_.connections_reserved() >= max_connections_) {
    metrics_.tcp_reject.add();
    refuse(std::move(fd));
    return;
  }
  if (!worker_.hand_over(std::move(fd))) {
    metrics_.session_discard.add();
    static log::Limit limit;
    log::limited(limit, log::Level::kWarn, "a session was closed: the worker's queue of new sessions is full");
  }
}

void Listener::on_accept_error(int error) {
  metrics_.event_error.add();
  metrics_.accepting.set(0);
  paused_at_ns_ = clock_.now().mono_ns;
  static log::Limit limit;
  log::limited(limit, log::Level::kWarn,
               "cannot accept for now: {} (raise the limit of open files, or lower server.max_connections)",
               std::strerror(error));
}

// The peer may have sent something already: it is read, so that close() does not turn into a reset that overtakes the
// message.
void Listener::refuse(net::Fd fd) {
  std::array<char, 4096> unread;
  (void)!::send(fd.get(), refusal_.data(), refusal_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  ::shutdown(fd.get(), SHUT_WR);
  for (int i = 0; i < 16 && ::recv(fd.get(), unread.data(), unread.size(), MSG_DONTWAIT) > 0; ++i) {
  }
}

}  // namespace pelikan::core
