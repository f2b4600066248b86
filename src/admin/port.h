// The admin port from within: one io_context, run by one thread; every session is a coroutine on it. Boost ends here.
//
//   accept ──▶ detect ──▶ text: line, reply, line, reply ...      a timeout, a limit or an error ends the session,
//                    └──▶ HTTP: header, page, header, page ...    never the port
//
// Owner: AdminServer. Threads: construction, name() and request_stop() on the owner's; the rest on the admin thread.
#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "admin/admin.h"
#include "metrics/exposition.h"
#include "metrics/process.h"
#include "protocol/admin/admin.h"

namespace pelikan::admin {

class AdminServer::Port {
 public:
  Port(const AdminOptions& options, Hooks hooks);  // binds; throws one line

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  void set_ready(bool ready) noexcept { ready_.store(ready, std::memory_order_relaxed); }
  void run();           // until request_stop(), and until every session has ended
  void request_stop();  // any thread

 private:
  struct Session;
  template <class T = void>
  using Task = boost::asio::awaitable<T>;
  // A question that another thread answers.
  using Ask = std::function<void(std::function<void(std::string)>)>;

  Task<> accept();
  Task<> tick();
  Task<> serve(boost::asio::ip::tcp::socket socket);
  Task<> serve_text(Session& session);
  Task<> serve_http(Session& session);
  Task<std::string> answer(Session& session, protocol::admin::Command command);
  // Nothing when the answer did not come in time.
  Task<std::optional<std::string>> ask(Session& session, Ask question);
  // Reads a little more. False: the client is gone, too slow, or the port is stopping.
  Task<bool> fill(Session& session);
  Task<bool> send(Session& session, std::string_view text);
  // Says that no more comes and lets the client read what was sent: closing at once could destroy it on its way.
  Task<> part(Session& session);

  void start(Task<> task);  // its end is nobody's business but the log's

  const Hooks hooks_;
  const std::chrono::milliseconds timeout_;
  std::atomic<bool> ready_{false};
  // Shared with answers that are still to come, so that a late one finds it.
  std::shared_ptr<boost::asio::io_context> context_ = std::make_shared<boost::asio::io_context>(1);
  boost::asio::ip::tcp::acceptor acceptor_{*context_};
  boost::asio::steady_timer ticker_{*context_};
  std::string name_;

  // Below: the admin thread only.
  bool stopping_ = false;
  std::set<Session*> sessions_;
  AdminMetrics metrics_;
  metrics::ProcessCollector process_;
  metrics::Window window_;
};

}  // namespace pelikan::admin
