// What the files of one TlsOptions say, as one immutable SSL_CTX: certificate, key, authorities, revocation lists,
// allow-list. A reload makes a new one; sessions keep the one they began with.
//
// Owner: shared by Credentials and the sessions. Threads: any; nothing here changes after load().
// Client side: connect() and ClientOptions, for tools and tests.
#pragma once

#include <memory>
#include <string>

#include "net/tls/options.h"
#include "net/tls/session.h"

struct ssl_ctx_st;
struct x509_st;

namespace pelikan::net::tls {

class TicketKeys;
class AllowList;

class Context {
 public:
  // Throws std::runtime_error with one line that names the setting, the file and what is wrong with it: unreadable, no
  // PEM in it, key and certificate do not belong together, expired, not yet valid, a key without a certificate, a CRL
  // that no authority has signed, a malformed pattern ...
  [[nodiscard]] static std::shared_ptr<const Context> load(const TlsOptions& options,
                                                           std::shared_ptr<TicketKeys> ticket_keys);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  // The server's side of a new connection. Null: no memory.
  [[nodiscard]] std::unique_ptr<Session> accept() const;
  [[nodiscard]] bool requires_client_certificate() const noexcept;
  // Of the contents of all files and of the settings; of those that decide which clients are let in (CA, CRL).
  [[nodiscard]] std::uint64_t fingerprint() const noexcept { return fingerprint_; }
  [[nodiscard]] std::uint64_t trust_fingerprint() const noexcept { return trust_fingerprint_; }
  // For Asio, which counts a reference of its own.
  [[nodiscard]] ssl_ctx_st* native() const noexcept { return context_; }

 private:
  friend class Session;
  Context() = default;

  ssl_ctx_st* context_ = nullptr;
  std::unique_ptr<const AllowList> allow_;
  std::shared_ptr<TicketKeys> ticket_keys_;
  std::uint64_t fingerprint_ = 0;
  std::uint64_t trust_fingerprint_ = 0;
};

struct ClientOptions {
  std::string ca_file;           // empty: the server's certificate is not checked
  std::string certificate_file;  // a chain, leaf first; empty: none is offered
  std::string key_file;
  std::string min_version = "1.2";
  std::string max_version = "1.3";
};

// The client's side. Sessions resume each other: with a ticket that an earlier session got.
class ClientContext {
 public:
  explicit ClientContext(const ClientOptions& options);  // throws std::runtime_error, one line
  ~ClientContext();
  ClientContext(const ClientContext&) = delete;
  ClientContext& operator=(const ClientContext&) = delete;

  // `server_name` is checked against the server's certificate (when there is a ca_file) and sent as SNI; may be an IP.
  // handshake() with no bytes begins. `resume`: use the newest ticket, if there is one. Null: no memory.
  [[nodiscard]] std::unique_ptr<Session> connect(const std::string& server_name, bool resume) const;

 private:
  struct Tickets;
  ssl_ctx_st* context_ = nullptr;
  std::unique_ptr<Tickets> tickets_;
};

}  // namespace pelikan::net::tls
