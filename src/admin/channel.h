// The bytes of one admin connection: as they are on the socket, or through TLS. Text and HTTP are the same above it.
//
// TLS is the data port's (net::tls::Session): the same checks of a client, the same causes of failure. So a channel is
// handshake() once, then read() and write() one after the other, then part().
// Owner:   the session, so its coroutine. Threads: the admin thread.
// Limits:  the time of expires_after() for all that is awaited until it is called again; with TLS 32 KiB to read with,
//          and what kWriteBytes of plain text become, to write.
// Failure: a call says no; failure() says why.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/buffer.h"
#include "net/tls/context.h"
#include "net/tls/failure.h"

namespace pelikan::admin {

[[nodiscard]] std::string spelt(const boost::asio::ip::tcp::endpoint& endpoint);  // "127.0.0.1:9999", "[::1]:9999"

class Channel {
 public:
  static constexpr std::size_t kWriteBytes = 64 * 1024;
  static constexpr std::size_t kDiscardedBytesMax = 64 * 1024;

  template <class T = void>
  using Task = boost::asio::awaitable<T>;

  // `context` null: plain text. `pool` outlives this.
  Channel(boost::asio::ip::tcp::socket socket, std::shared_ptr<const net::tls::Context> context, BufferPool& pool);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  void expires_after(std::chrono::milliseconds time) { stream_.expires_after(time); }
  void close() { stream_.close(); }  // ends what is under way
  [[nodiscard]] auto get_executor() { return stream_.get_executor(); }
  [[nodiscard]] bool encrypted() const noexcept { return tls_ != nullptr; }

  // Before all else; at once without TLS.
  Task<bool> handshake();
  // At least one byte. 0: nothing more comes.
  Task<std::size_t> read(boost::asio::mutable_buffer room);
  Task<bool> write(std::string_view text);
  // Says that no more is written, and lets the client read what was: closing at once could destroy it on its way.
  Task<> part();

  // Are the rules of `current`, in force by now, kept by the client that came in under others? Costs a verification
  // when they changed since this was last asked.
  [[nodiscard]] bool still_admitted(const std::shared_ptr<const net::tls::Context>& current);

  // Of a call that said no. Cause kNone: the socket's failure, or with no text the client's regular end.
  [[nodiscard]] const net::tls::Failure& failure() const noexcept { return failure_; }
  [[nodiscard]] const std::string& client() const noexcept { return client_; }  // its address
  [[nodiscard]] std::string_view identity() const noexcept;                     // as its certificate says; else empty

 private:
  struct Tls;

  Task<std::size_t> read_socket(boost::asio::mutable_buffer room);
  Task<bool> write_socket(std::string_view bytes);
  Task<bool> receive();  // more ciphertext. REQUIRES: what there was has been used
  Task<bool> flush();    // sends what TLS has written
  Task<bool> fail();     // takes over the failure of TLS and sends its alert; false
  void take(const boost::system::error_code& error);

  boost::beast::tcp_stream stream_;
  std::unique_ptr<Tls> tls_;
  std::string client_;
  net::tls::Failure failure_;
};

}  // namespace pelikan::admin
