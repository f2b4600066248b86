#include "admin/port.h"

#include <fmt/format.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <exception>
#include <optional>
#include <stdexcept>
#include <utility>

#include "admin/session.h"
#include "log/log.h"

namespace pelikan::admin {
namespace {

namespace asio = boost::asio;
namespace protocol = pelikan::protocol::admin;

using boost::system::error_code;

constexpr auto kTickInterval = std::chrono::seconds(10);  // six of these are the window of the percentiles
constexpr auto kAcceptPause = std::chrono::milliseconds(100);
constexpr const char* kTooLate = "SERVER_ERROR not done in time\r\n";
constexpr std::size_t kMaxDiscardedBytes = 64 * 1024;

constexpr auto kValues = asio::as_tuple(asio::use_awaitable);  // errors as values, not as exceptions

asio::ip::tcp::endpoint resolve(asio::io_context& context, const std::string& host, std::uint64_t port) {
  error_code error;
  asio::ip::tcp::resolver resolver(context);
  const auto found = resolver.resolve(host, fmt::format("{}", port), asio::ip::tcp::resolver::passive, error);
  if (error || found.empty()) throw std::runtime_error(fmt::format("admin.host {}: {}", host, error.message()));
  return found.begin()->endpoint();
}

std::string spelt(const asio::ip::tcp::endpoint& endpoint) {
  const std::string host = endpoint.address().to_string();
  return fmt::format(fmt::runtime(endpoint.address().is_v6() ? "[{}]:{}" : "{}:{}"), host, endpoint.port());
}

}  // namespace

AdminServer::Port::Port(const AdminOptions& options, Hooks hooks)
    : hooks_(std::move(hooks)), timeout_(options.idle_timeout()) {
  if (options.use_tls())
    throw std::runtime_error("admin.use_tls: TLS is not offered on the admin port; set it to false");
  const asio::ip::tcp::endpoint endpoint = resolve(*context_, options.host(), options.port());
  try {
    acceptor_.open(endpoint.protocol());
    acceptor_.set_option(asio::socket_base::reuse_address(true));
    acceptor_.bind(endpoint);
    acceptor_.listen(static_cast<int>(kMaxSessions));
  } catch (const boost::system::system_error& failure) {
    throw std::runtime_error(fmt::format("cannot listen on admin {} ({}); see admin.host and admin.port",
                                         spelt(endpoint), failure.code().message()));
  }
  name_ = spelt(acceptor_.local_endpoint());
}

void AdminServer::Port::start(Task<> task) {
  asio::co_spawn(*context_, std::move(task), [this](const std::exception_ptr& failure) {
    if (!failure) return;
    metrics_.event_error.add();
    try {
      std::rethrow_exception(failure);
    } catch (const std::exception& exception) {
      static log::Limit limit;
      log::limited(limit, log::Level::kError, "admin: {}", exception.what());
    }
  });
}

void AdminServer::Port::run() {
  start(accept());
  start(tick());
  context_->run();
}

void AdminServer::Port::request_stop() {
  asio::post(*context_, [this] {
    stopping_ = true;
    error_code error;
    error = acceptor_.close(error);
    if (error) log::warn("admin: closing the port: {}", error.message());
    ticker_.cancel();
    for (Session* session : sessions_) {
      session->stream.close();
      session->wait.cancel();
    }
  });
}

AdminServer::Port::Task<> AdminServer::Port::accept() {
  while (!stopping_) {
    auto [error, socket] = co_await acceptor_.async_accept(kValues);
    if (stopping_) co_return;
    if (error) {
      metrics_.event_error.add();
      static log::Limit limit;
      log::limited(limit, log::Level::kWarn, "admin: cannot accept for now: {}", error.message());
      asio::steady_timer pause(*context_, kAcceptPause);
      co_await pause.async_wait(kValues);
    } else if (sessions_.size() >= kMaxSessions) {
      metrics_.session_reject.add();
    } else {
      start(serve(std::move(socket)));
    }
  }
}

AdminServer::Port::Task<> AdminServer::Port::tick() {
  while (!stopping_) {
    window_.advance(metrics::snapshot());
    ticker_.expires_after(kTickInterval);
    co_await ticker_.async_wait(kValues);
  }
}

AdminServer::Port::Task<> AdminServer::Port::serve(asio::ip::tcp::socket socket) {
  if (stopping_) co_return;
  Session session(std::move(socket));
  const Session::Membership member(session, sessions_, metrics_.session_curr);
  metrics_.session_accept.add();
  session.stream.expires_after(timeout_);
  protocol::Dialect dialect = protocol::detect(session.received());
  while (dialect == protocol::Dialect::kUndecided) {
    if (!co_await fill(session)) co_return;
    dialect = protocol::detect(session.received());
  }
  if (dialect == protocol::Dialect::kHttp) {
    co_await serve_http(session);
  } else {
    co_await serve_text(session);
  }
}

AdminServer::Port::Task<> AdminServer::Port::serve_text(Session& session) {
  for (;;) {
    protocol::Request request;
    const ParseResult parsed = protocol::parse(session.received(), request);
    if (parsed.status == ParseStatus::kNeedMore) {
      if (!co_await fill(session)) co_return;
      continue;
    }
    if (parsed.status == ParseStatus::kInvalid) {
      co_await send(session, "ERROR line too long\r\n");
      break;
    }
    session.buffer.consume(parsed.consumed);
    metrics_.request_parse.add();
    if (request.command == protocol::Command::kQuit) break;
    const std::string reply = co_await answer(session, request.command);
    if (!co_await send(session, reply)) co_return;
    session.stream.expires_after(timeout_);  // the next request has a time of its own
  }
  co_await part(session);
}

AdminServer::Port::Task<std::string> AdminServer::Port::answer(Session& session, protocol::Command command) {
  switch (command) {
    case protocol::Command::kStats:
      co_return metrics::stat_lines(metrics::snapshot(), window_, hooks_.facts) + "END\r\n";
    case protocol::Command::kVersion: co_return fmt::format("VERSION {}\r\n", hooks_.version);
    case protocol::Command::kStatsSegments: {
      if (!hooks_.segments) break;
      const std::optional<std::string> report = co_await ask(session, hooks_.segments);
      co_return report ? *report + "END\r\n" : std::string(kTooLate);
    }
    case protocol::Command::kFlushAll: {
      if (!hooks_.flush_all) break;
      Ask question = [this](const std::function<void(std::string)>& reply) {
        hooks_.flush_all([reply] { reply("OK\r\n"); });
      };
      const std::optional<std::string> reply = co_await ask(session, std::move(question));
      co_return reply.value_or(kTooLate);
    }
    case protocol::Command::kQuit:
    case protocol::Command::kUnknown: break;
  }
  co_return "ERROR\r\n";
}

AdminServer::Port::Task<std::optional<std::string>> AdminServer::Port::ask(Session& session, Ask question) {
  if (stopping_) co_return std::nullopt;
  struct Waiting {
    std::optional<std::string> answer;
    asio::steady_timer* timer;  // null once nobody waits
  };
  const auto waiting = std::make_shared<Waiting>(Waiting{std::nullopt, &session.wait});
  session.wait.expires_after(timeout_);
  question([context = context_, waiting](std::string answer) {
    asio::post(*context, [waiting, answer = std::move(answer)]() mutable {
      if (!waiting->timer) return;
      waiting->answer = std::move(answer);
      waiting->timer->cancel();
    });
  });
  co_await session.wait.async_wait(kValues);
  waiting->timer = nullptr;
  if (!waiting->answer) metrics_.event_error.add();
  co_return waiting->answer;
}

AdminServer::Port::Task<bool> AdminServer::Port::fill(Session& session) {
  const auto room = session.buffer.prepare(Session::kReadBytes);
  const auto [error, size] = co_await session.stream.async_read_some(room, kValues);
  session.buffer.commit(size);
  if (error && error != asio::error::eof && !stopping_) metrics_.event_error.add();
  co_return !error;
}

AdminServer::Port::Task<bool> AdminServer::Port::send(Session& session, std::string_view text) {
  session.stream.expires_after(timeout_);
  const auto [error, size] =
      co_await asio::async_write(session.stream, asio::buffer(text.data(), text.size()), kValues);
  (error ? metrics_.event_error : metrics_.response_compose).add();
  co_return !error;
}

AdminServer::Port::Task<> AdminServer::Port::part(Session& session) {
  error_code error;
  error = session.stream.socket().shutdown(asio::socket_base::shutdown_send, error);
  session.stream.expires_after(timeout_);
  std::array<char, Session::kReadBytes> discarded{};
  for (std::size_t total = 0; !error && total < kMaxDiscardedBytes;) {
    const auto [failure, size] = co_await session.stream.async_read_some(asio::buffer(discarded), kValues);
    error = failure;
    total += size;
  }
}

}  // namespace pelikan::admin
