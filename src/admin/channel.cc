#include "admin/channel.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/error.hpp>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "net/tls/session.h"

namespace pelikan::admin {
namespace {

namespace asio = boost::asio;
namespace tls = net::tls;

using boost::system::error_code;
using Progress = tls::Session::Progress;

constexpr auto kValues = asio::as_tuple(asio::use_awaitable);  // errors as values, not as exceptions

std::string address_of(const asio::ip::tcp::socket& socket) {
  error_code error;
  const asio::ip::tcp::endpoint remote = socket.remote_endpoint(error);
  return error ? "a client that is gone" : spelt(remote);
}

}  // namespace

std::string spelt(const asio::ip::tcp::endpoint& endpoint) {
  const std::string host = endpoint.address().to_string();
  return fmt::format(fmt::runtime(endpoint.address().is_v6() ? "[{}]:{}" : "{}:{}"), host, endpoint.port());
}

struct Channel::Tls {
  Tls(std::shared_ptr<const tls::Context> from, BufferPool& pool)
      : context(std::move(from)), session(context->accept()), wire(pool) {}

  std::shared_ptr<const tls::Context> context;  // whose rules the client is known to keep
  std::unique_ptr<tls::Session> session;        // null: no memory
  Buffer wire;                                  // to be sent
  bool established = false;                     // and not failed since
  std::string_view received;                    // of `ciphertext`: not yet decrypted
  std::string_view plain;                       // of `scratch`: not yet read
  std::array<char, tls::Session::kPlainBytesMax> ciphertext;
  std::array<char, tls::Session::kPlainBytesMax> scratch;
};

Channel::Channel(asio::ip::tcp::socket socket, std::shared_ptr<const tls::Context> context, BufferPool& pool)
    : stream_(std::move(socket)),
      tls_(context ? std::make_unique<Tls>(std::move(context), pool) : nullptr),
      client_(address_of(stream_.socket())) {}

Channel::~Channel() = default;

std::string_view Channel::identity() const noexcept {
  return tls_ && tls_->session ? std::string_view(tls_->session->peer()) : std::string_view();
}

Channel::Task<bool> Channel::handshake() {
  if (!tls_) co_return true;
  if (!tls_->session) {
    failure_ = {tls::Cause::kResources, "no memory for TLS"};
    co_return false;
  }
  for (bool begun = false;; begun = true) {
    if (!co_await receive()) {
      if (begun && failure_.text.empty()) failure_.text = "the client ended the connection during the handshake";
      co_return false;
    }
    const Progress progress = tls_->session->handshake(tls_->received, tls_->wire);
    if (progress == Progress::kFailed) co_return co_await fail();
    if (!co_await flush()) co_return false;
    if (progress == Progress::kDone) break;
  }
  tls_->established = true;
  co_return true;
}

Channel::Task<std::size_t> Channel::read(asio::mutable_buffer room) {
  if (!tls_) co_return co_await read_socket(room);
  Tls& tls = *tls_;
  while (tls.plain.empty()) {
    const Progress progress = tls.session->receive(tls.received, tls.scratch, tls.plain, tls.wire);
    if (progress == Progress::kFailed) {
      tls.plain = {};
      co_await fail();
      co_return 0;
    }
    if (!co_await flush()) co_return 0;
    if (!tls.plain.empty()) break;
    if (progress == Progress::kDone || !co_await receive()) co_return 0;
  }
  const std::size_t size = std::min(room.size(), tls.plain.size());
  std::memcpy(room.data(), tls.plain.data(), size);
  tls.plain.remove_prefix(size);
  co_return size;
}

Channel::Task<bool> Channel::write(std::string_view text) {
  if (!tls_) co_return co_await write_socket(text);
  while (!text.empty()) {
    const std::string_view part = text.substr(0, kWriteBytes);
    if (!tls_->session->send(part, tls_->wire)) co_return co_await fail();
    if (!co_await flush()) co_return false;
    text.remove_prefix(part.size());
  }
  co_return true;
}

Channel::Task<> Channel::part() {
  if (tls_ && tls_->established) {
    tls_->session->finish(tls_->wire);
    if (!co_await flush()) co_return;
  }
  error_code error;
  error = stream_.socket().shutdown(asio::socket_base::shutdown_send, error);
  std::array<char, 1024> discarded{};
  for (std::size_t total = 0, size = 1; !error && size > 0 && total < kDiscardedBytesMax; total += size)
    size = co_await read_socket(asio::buffer(discarded));
}

bool Channel::still_admitted(const std::shared_ptr<const tls::Context>& current) {
  if (!tls_ || tls_->context == current) return true;
  if (!tls_->session->still_admitted(*current, failure_)) return false;
  tls_->context = current;
  return true;
}

Channel::Task<std::size_t> Channel::read_socket(asio::mutable_buffer room) {
  const auto [error, size] = co_await stream_.async_read_some(room, kValues);
  if (error) take(error);
  co_return error ? 0 : size;
}

Channel::Task<bool> Channel::write_socket(std::string_view bytes) {
  const auto [error, size] = co_await asio::async_write(stream_, asio::buffer(bytes.data(), bytes.size()), kValues);
  if (error) take(error);
  co_return !error;
}

Channel::Task<bool> Channel::receive() {
  DCHECK(tls_->received.empty());
  const std::size_t size = co_await read_socket(asio::buffer(tls_->ciphertext));
  tls_->received = {tls_->ciphertext.data(), size};
  co_return size > 0;
}

Channel::Task<bool> Channel::flush() {
  if (tls_->wire.empty()) co_return true;
  const bool sent = co_await write_socket(tls_->wire.view());
  tls_->wire.reset();
  co_return sent;
}

Channel::Task<bool> Channel::fail() {
  tls_->established = false;
  co_await flush();
  failure_ = tls_->session->failure();
  co_return false;
}

void Channel::take(const error_code& error) {
  failure_ = {tls::Cause::kNone, error.message()};
  if (error == asio::error::eof) failure_.text.clear();
  if (error == boost::beast::error::timeout) failure_.text = "not done within admin.idle_timeout";
}

}  // namespace pelikan::admin
