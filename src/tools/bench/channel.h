// One connection's bytes, plain or through TLS: what is appended to output() goes out with the next flush(), in one
// record and one send; what comes in is decrypted where the loop received it.
//
// Owner:   a load's connection (the derived class). Threads: one, the loop's.
// Limits:  one send under way; what is flushed meanwhile goes when it is done.
// Failure: on_failed(), once, with what happened and, where one is known, the option that would help. The channel then
//          closes by itself. close() by the owner calls nothing but on_closed().
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/buffer.h"
#include "net/loop.h"
#include "net/tls/session.h"
#include "tools/bench/tally.h"

namespace pelikan::tools::bench {

// For a target that ends a TLS connection without a word: it judges the client certificate last.
inline constexpr const char* kCertificateAdvice =
    "TLS was agreed on; the target may want a client certificate that it trusts (--cert, --key)";

class Channel : public net::Stream {
 public:
  // What the channels of a thread share; outlives them.
  struct Shared {
    net::Loop& loop;
    BufferPool& pool;
    std::span<char> scratch;  // for the plain text of one TLS record
  };

  explicit Channel(const Shared& shared) : shared_(shared), output_(shared.pool), wire_(shared.pool) {}

  // Begins with a socket that is connected or connecting. `session` null: plain bytes. May be called again after
  // on_closed().
  void open(net::Fd fd, std::unique_ptr<net::tls::Session> session);
  [[nodiscard]] Buffer& output() noexcept { return output_; }
  void flush();
  // Says after the output that we have finished: with close_notify, or FIN when there is no TLS.
  void finish();
  void close();

  [[nodiscard]] bool closing() const noexcept { return closing_ || failed_; }
  // The TLS handshake is complete, or there is none.
  [[nodiscard]] bool established() const noexcept { return established_; }
  // Null: plain.
  [[nodiscard]] const net::tls::Session* session() const noexcept { return session_.get(); }

 protected:
  // The TLS handshake is complete. Not called for plain bytes.
  virtual void on_established() = 0;
  virtual void on_plain(std::string_view bytes) = 0;
  // The peer finished writing: 0, or an errno: the connection is lost.
  virtual void on_peer_end(int error) = 0;
  virtual void on_failed(Trouble trouble, const std::string& what) = 0;
  void fail(Trouble trouble, const std::string& what);
  // Sends nothing, which is done when the socket is connected: then on_flushed() is called.
  void await_connect();
  virtual void on_flushed() {}

 private:
  void on_data(std::string_view bytes) final;
  void on_end(int error) final;
  void on_sent() final;

  [[nodiscard]] bool shake_hands(std::string_view& bytes);
  void decrypt(std::string_view bytes);
  void fail_tls();
  void send(Buffer&& bytes, net::SentNotice notice);

  const Shared& shared_;
  std::unique_ptr<net::tls::Session> session_;
  Buffer output_;  // plain text not yet flushed
  Buffer wire_;    // records not yet passed to the loop
  bool established_ = false;
  bool heard_ = false;  // something besides the handshake (TLS only)
  bool sending_ = false;
  bool finishing_ = false;  // finish() was called ...
  bool finished_ = false;   // ... and done
  bool failed_ = false;     // on_failed() was told; closes when the alert is sent
  bool closing_ = true;
};

}  // namespace pelikan::tools::bench
