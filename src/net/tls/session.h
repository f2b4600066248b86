// The TLS of one connection, without its socket: ciphertext in, plain text out, and back.
//
//            handshake(bytes)              receive(bytes)              send(plain)
//   bytes ──▶ [ SSL ] ──▶ wire    bytes ──▶ [ SSL ] ──▶ plain    plain ──▶ [ SSL ] ──▶ wire
//
// Bytes are taken by a BIO straight from where the event loop received them, records are written straight into `wire`,
// a buffer that the caller sends. Nothing is copied besides; what is left of a record that has not come whole waits
// inside OpenSSL.
// Owner:   the listener until the handshake is done, then a worker's session. Threads: one at a time; it may move.
// Memory:  OpenSSL keeps a client's certificates parsed, 5 kB each. After the handshake they are replaced by what they
//          were made from, a tenth of that; still_admitted() parses it again.
// Limits:  holds at most one record (16 KiB and its overhead) of input; release_buffers() gives that memory back while
//          no part of a record waits.
// Failure: a value. After kFailed failure() says why, `wire` may hold an alert for the peer, and every further call
//          fails, too. Data before the end of the handshake is a CHECK: nobody would have asked whom it lets in.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/buffer.h"
#include "net/tls/failure.h"
#include "net/tls/handles.h"

namespace pelikan::net::tls {

class Context;
struct Wire;

class Session {
 public:
  enum class Progress : std::uint8_t {
    kMore,    // all bytes are used; more are needed
    kDone,    // handshake(): it is complete. receive(): the peer said it has finished writing (close_notify)
    kFailed,  // see failure()
  };

  // REQUIRES: plain text from one receive() call to the next is at most this, per record.
  static constexpr std::size_t kPlainBytesMax = 16 * 1024;

  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Goes on with the handshake; uses up `bytes` from its front. On kDone what is left of `bytes` is for receive().
  [[nodiscard]] Progress handshake(std::string_view& bytes, Buffer& wire);
  // Decrypts: puts the plain text of the next record that is whole into `scratch` (at least kPlainBytesMax), uses up
  // `bytes` from its front. kMore with an empty `plain`: nothing is left to give. Call again until then.
  [[nodiscard]] Progress receive(std::string_view& bytes, std::span<char> scratch, std::string_view& plain,
                                 Buffer& wire);
  // Encrypts all of `plain`, in as few records as possible. False: failed.
  [[nodiscard]] bool send(std::string_view plain, Buffer& wire);
  // Says that we have finished writing (close_notify).
  void finish(Buffer& wire);
  // Gives OpenSSL's record buffers back. False: part of a record waits in them.
  bool release_buffers() noexcept;

  [[nodiscard]] const Failure& failure() const noexcept { return failure_; }
  // The client's name: the SAN or CN that the allow-list matched, else its first SAN URI, DNS, e-mail, IP, else its CN.
  // With its kind: "URI:spiffe://prod/web", "CN:web"; control characters are shown as '?'. Empty: it sent no
  // certificate. Holds as long as this.
  [[nodiscard]] const std::string& peer() const noexcept { return peer_; }
  [[nodiscard]] const char* version() const noexcept;  // "TLSv1.3"
  [[nodiscard]] const char* cipher() const noexcept;
  [[nodiscard]] bool resumed() const noexcept;

  // Would `context` let this client in now? For connections that were there before a reload. Costs a verification.
  [[nodiscard]] bool still_admitted(const Context& context, Failure& why) const;

 private:
  friend class Context;
  friend class ClientContext;
  static std::unique_ptr<Session> over(Handle<ssl_st> ssl);  // null: no memory
  Session(Handle<ssl_st> ssl, std::unique_ptr<Wire> wire);

  [[nodiscard]] bool begins_like_tls(std::string_view bytes);
  [[nodiscard]] bool waits(int result);  // for more bytes; if not, failure_ says why
  [[nodiscard]] bool admit();            // after the handshake
  void pack_certificates();
  [[nodiscard]] std::string peer_called() const;
  void fail(Cause cause, std::string text);

  std::unique_ptr<Wire> wire_;  // outlives ssl_, which refers to it
  Handle<ssl_st> ssl_;
  std::uint8_t first_bytes_ = 0;  // how many of the connection's first bytes have been looked at
  Failure failure_;
  std::string peer_;
  std::string certificates_;  // of a client that was verified: its own, then the issuers that it has sent (DER)
};

}  // namespace pelikan::net::tls
