// The admin port from within: one io_context, run by one thread; every session is a coroutine on it. Boost ends here.
//
//   accept ──▶ handshake, with TLS ──▶ detect ──▶ text: line, reply, line, reply ...
//                                            └──▶ HTTP: header, page, header, page ...
//
// A timeout, a limit or an error ends the session, never the port.
// Owner: AdminServer. Threads: construction, name() and request_stop() on the owner's; the rest on the admin thread.
#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "admin/admin.h"
#include "admin/channel.h"
#include "admin/pages.h"
#include "base/buffer.h"
#include "metrics/exposition.h"
#include "metrics/process.h"
#include "protocol/admin/admin.h"

namespace pelikan::admin {

class AdminServer::Port {
 public:
  Port(const AdminOptions& options, Hooks hooks, const net::tls::Credentials* credentials);  // binds; throws one line

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  void set_ready(bool ready) noexcept { ready_.store(ready, std::memory_order_relaxed); }
  void run();           // until request_stop(), and until every session has ended
  void request_stop();  // any thread

 private:
  struct Session;
  template <class T = void>
  using Task = boost::asio::awaitable<T>;
  // A question that another thread answers, if it can.
  using Answer = std::expected<std::string, std::string>;
  using Ask = std::function<void(std::function<void(Answer)>)>;

  Task<> accept();
  Task<> tick();
  Task<> serve(boost::asio::ip::tcp::socket socket);
  Task<bool> handshake(Session& session);
  Task<> serve_text(Session& session);
  Task<> serve_http(Session& session);
  Task<Page> reload_tls(Session& session);
  Task<std::string> answer(Session& session, protocol::admin::Command command);
  // Nothing when the answer did not come in time.
  Task<std::optional<Answer>> ask(Session& session, Ask question);
  // Reads a little more. False: the client has ended, is gone or too slow, or the port is stopping; all is done.
  Task<bool> fill(Session& session);
  Task<bool> send(Session& session, std::string_view text);
  Task<> part(Session& session);  // Channel::part(), in time
  // False once a reload has changed the rules and the client does not keep the new ones.
  [[nodiscard]] bool still_admitted(Session& session);

  void start(Task<> task);  // its end is nobody's business but the log's

  const Hooks hooks_;
  const net::tls::Credentials* const credentials_;  // null: plain text
  const std::chrono::milliseconds timeout_;
  std::atomic<bool> ready_{false};
  // Shared with answers that are still to come, so that a late one finds it.
  std::shared_ptr<boost::asio::io_context> context_ = std::make_shared<boost::asio::io_context>(1);
  boost::asio::ip::tcp::acceptor acceptor_{*context_};
  boost::asio::steady_timer ticker_{*context_};
  std::string name_;

  // Below: the admin thread only.
  bool stopping_ = false;
  BufferPool pool_{AdminServer::kMaxSessions * Channel::kWriteBytes};
  std::set<Session*> sessions_;
  AdminMetrics metrics_;
  metrics::ProcessCollector process_;
  metrics::Window window_;
};

}  // namespace pelikan::admin
