// What the files of one TlsOptions say, as one immutable SSL_CTX: certificate, key, authorities, revocation lists,
// allow-list. A reload makes a new one; sessions keep the one they began with.
//
// Owner: shared by Credentials and the sessions. Threads: any; nothing here changes after load().
// Client side: ClientContext, for tools and tests.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "net/tls/handles.h"
#include "net/tls/options.h"
#include "net/tls/session.h"

namespace pelikan::net::tls {

class Context {
 public:
  // Throws std::runtime_error with one line that names the setting, the file and what is wrong with it: unreadable, no
  // PEM in it, key and certificate do not belong together, expired, not yet valid, a key without a certificate, a CRL
  // that no authority has signed, a malformed pattern ...
  // `clock` says what has expired, now and later; it outlives all sessions. Session tickets of `previous` stay good
  // when both let in the same clients. `allow`: the patterns, if not those of `options`.
  [[nodiscard]] static std::shared_ptr<const Context> load(const TlsOptions& options,
                                                           const Clock& clock = system_clock(),
                                                           const Context* previous = nullptr,
                                                           const config::List* allow = nullptr);
  static const Clock& system_clock();

  // The server's side of a new connection. Null: no memory.
  [[nodiscard]] std::unique_ptr<Session> accept() const;
  [[nodiscard]] bool requires_client_certificate() const noexcept;
  // Of the contents of all files and of the settings; of those alone that decide which clients are let in (authorities,
  // revocation lists, patterns).
  [[nodiscard]] std::uint64_t fingerprint() const noexcept { return fingerprint_; }
  [[nodiscard]] std::uint64_t trust_fingerprint() const noexcept { return trust_fingerprint_; }
  // Unix times: when the server's certificate expires, and when the first revocation list is out of date (0: none).
  [[nodiscard]] std::int64_t not_after() const noexcept { return not_after_; }
  [[nodiscard]] std::int64_t lists_end() const noexcept { return lists_end_; }
  [[nodiscard]] ssl_ctx_st* native() const noexcept { return context_.get(); }

 private:
  friend class ContextLoader;
  Context() = default;

  Handle<ssl_ctx_st> context_;
  std::uint64_t fingerprint_ = 0;
  std::uint64_t trust_fingerprint_ = 0;
  std::int64_t not_after_ = 0;
  std::int64_t lists_end_ = 0;
};

struct ClientOptions {
  std::string ca_file = {};           // empty: the server's certificate is not checked
  std::string certificate_file = {};  // a chain, leaf first; empty: none is offered
  std::string key_file = {};
  std::string min_version = "1.2";
  std::string max_version = "1.3";
};

// The client's side. Sessions resume each other: with a ticket that an earlier session got.
class ClientContext {
 public:
  // Throws std::runtime_error, one line. `prefix` is put before the keys' names in it.
  explicit ClientContext(const ClientOptions& options, const std::string& prefix = "tls.");
  ~ClientContext();
  ClientContext(const ClientContext&) = delete;
  ClientContext& operator=(const ClientContext&) = delete;

  // `server_name` is checked against the server's certificate (when there is a ca_file) and sent as SNI; may be an IP.
  // handshake() with no bytes begins. `resume`: use the newest ticket, if there is one. Null: no memory.
  [[nodiscard]] std::unique_ptr<Session> connect(const std::string& server_name, bool resume) const;

 private:
  struct Tickets;
  std::unique_ptr<Tickets> tickets_;
  Handle<ssl_ctx_st> context_;
};

}  // namespace pelikan::net::tls
