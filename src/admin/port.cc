#include "admin/port.h"

#include <fmt/format.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <optional>
#include <stdexcept>
#include <utility>

#include "admin/session.h"
#include "log/log.h"
#include "metrics/memory.h"
#include "net/tls/credentials.h"

namespace pelikan::admin {
namespace {

namespace asio = boost::asio;
namespace protocol = pelikan::protocol::admin;

using boost::system::error_code;

constexpr auto kTickInterval = std::chrono::seconds(10);  // six of these are the window of the percentiles
constexpr auto kAcceptPause = std::chrono::milliseconds(100);
constexpr const char* kTooLate = "SERVER_ERROR not done in time\r\n";

constexpr auto kValues = asio::as_tuple(asio::use_awaitable);  // errors as values, not as exceptions

asio::ip::tcp::endpoint resolve(asio::io_context& context, const std::string& host, std::uint64_t port) {
  error_code error;
  asio::ip::tcp::resolver resolver(context);
  const auto found = resolver.resolve(host, fmt::format("{}", port), asio::ip::tcp::resolver::passive, error);
  if (error || found.empty()) throw std::runtime_error(fmt::format("admin.host {}: {}", host, error.message()));
  return found.begin()->endpoint();
}

}  // namespace

AdminServer::Port::Port(const AdminOptions& options, Hooks hooks, const net::tls::Credentials* credentials)
    : hooks_(std::move(hooks)), credentials_(credentials), timeout_(options.idle_timeout()) {
  if (options.use_tls() != (credentials != nullptr)) {
    throw std::runtime_error(fmt::format("admin.use_tls is {}, but the admin port was given {} certificate",
                                         options.use_tls(), credentials ? "a" : "no"));
  }
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
      session->channel.close();
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
  Session session(std::move(socket), credentials_ ? credentials_->current() : nullptr, pool_);
  const Session::Membership member(session, sessions_, metrics_.session_curr);
  metrics_.session_accept.add();
  session.channel.expires_after(timeout_);
  if (!co_await handshake(session)) co_return;
  protocol::Dialect dialect = protocol::detect(session.received());
  while (dialect == protocol::Dialect::kUndecided) {
    if (!co_await fill(session)) co_return;
    dialect = protocol::detect(session.received());
  }
  if (dialect == protocol::Dialect::kHttp) {
    co_await serve_http(session);
  } else if (dialect == protocol::Dialect::kTls && !session.channel.encrypted()) {
    metrics_.tls_on_plain_port.add();
    static log::Limit limit;
    log::limited(limit, log::Level::kWarn,
                 "admin: closed {}: it began TLS, and this port speaks plain text; see admin.use_tls",
                 session.channel.client());
    co_await part(session);
  } else {
    co_await serve_text(session);
  }
}

AdminServer::Port::Task<bool> AdminServer::Port::handshake(Session& session) {
  if (!session.channel.encrypted()) co_return true;
  if (co_await session.channel.handshake()) {
    metrics_.tls_handshake.add();
    session.channel.expires_after(timeout_);
    co_return true;
  }
  const net::tls::Failure& failure = session.channel.failure();
  if (stopping_ || failure.text.empty()) co_return false;  // who only looks whether somebody listens is no failure
  metrics_.tls_handshake_ex.add();
  static log::Limit limit;
  log::limited(limit, log::Level::kWarn, "admin: no TLS with {}: {}", session.channel.client(), failure.text);
  co_await part(session);
  co_return false;
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
    if (request.command == protocol::Command::kQuit || !still_admitted(session)) break;
    const std::string reply = co_await answer(session, request.command);
    if (!co_await send(session, reply)) co_return;
    session.channel.expires_after(timeout_);  // the next request has a time of its own
  }
  co_await part(session);
}

AdminServer::Port::Task<std::string> AdminServer::Port::answer(Session& session, protocol::Command command) {
  switch (command) {
    case protocol::Command::kStats:
      co_return metrics::stat_lines(metrics::snapshot(), window_, hooks_.facts) + "END\r\n";
    case protocol::Command::kStatsMemory: {
      std::string lines;
      for (const metrics::MemoryPart& part : metrics::memory_parts(metrics::snapshot())) {
        lines += fmt::format("STAT {} {}\r\n", part.name, part.bytes);
      }
      co_return lines + "END\r\n";
    }
    case protocol::Command::kVersion: co_return fmt::format("VERSION {}\r\n", hooks_.version);
    case protocol::Command::kStatsSegments: {
      if (!hooks_.segments) break;
      const std::optional<Answer> report = co_await ask(session, hooks_.segments);
      co_return report ? **report + "END\r\n" : std::string(kTooLate);
    }
    case protocol::Command::kFlushAll: {
      if (!hooks_.flush_all) break;
      Ask question = [this](const std::function<void(Answer)>& reply) {
        hooks_.flush_all([reply] { reply("OK\r\n"); });
      };
      const std::optional<Answer> reply = co_await ask(session, std::move(question));
      co_return reply ? **reply : std::string(kTooLate);
    }
    case protocol::Command::kQuit:
    case protocol::Command::kUnknown: break;
  }
  co_return "ERROR\r\n";
}

AdminServer::Port::Task<std::optional<AdminServer::Port::Answer>> AdminServer::Port::ask(Session& session,
                                                                                         Ask question) {
  if (stopping_) co_return std::nullopt;
  struct Waiting {
    std::optional<Answer> answer;
    asio::steady_timer* timer;  // null once nobody waits
  };
  const auto waiting = std::make_shared<Waiting>(Waiting{std::nullopt, &session.wait});
  session.wait.expires_after(timeout_);
  question([context = context_, waiting](Answer answer) {
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
  const std::size_t size = co_await session.channel.read(session.buffer.prepare(Session::kReadBytes));
  session.buffer.commit(size);
  if (size > 0) co_return true;
  const net::tls::Failure& failure = session.channel.failure();
  if (stopping_) co_return false;
  if (!failure.text.empty()) metrics_.event_error.add();
  if (failure.cause != net::tls::Cause::kNone) {
    static log::Limit limit;
    log::limited(limit, log::Level::kWarn, "admin: TLS with {}: {}", session.channel.client(), failure.text);
  }
  co_await part(session);
  co_return false;
}

AdminServer::Port::Task<bool> AdminServer::Port::send(Session& session, std::string_view text) {
  session.channel.expires_after(timeout_);
  const bool sent = co_await session.channel.write(text);
  (sent ? metrics_.response_compose : metrics_.event_error).add();
  co_return sent;
}

AdminServer::Port::Task<> AdminServer::Port::part(Session& session) {
  session.channel.expires_after(timeout_);
  co_await session.channel.part();
}

bool AdminServer::Port::still_admitted(Session& session) {
  if (!credentials_ || session.channel.still_admitted(credentials_->current())) return true;
  metrics_.event_error.add();
  static log::Limit limit;
  log::limited(limit, log::Level::kWarn, "admin: closing {}, no longer let in: {}", session.channel.client(),
               session.channel.failure().text);
  return false;
}

}  // namespace pelikan::admin
