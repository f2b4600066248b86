// Which clients a Context lets in: OpenSSL asks when a client has shown its certificate and when it comes back with a
// session ticket.
//
//   full handshake   the chain leads to an authority, is in force and not revoked; a name is on the allow-list
//   with a ticket    OpenSSL verifies nothing. The ticket was made by keys and under authorities, lists and patterns
//                    that are still in force (TicketKeys, session id context), and nothing that was verified then has
//                    ended since: the ticket carries that time. If not, the handshake goes on as a full one.
//
// Owner: its SSL_CTX, which may outlive the Context. Threads: any; nothing here changes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "net/tls/allow_list.h"
#include "net/tls/failure.h"
#include "net/tls/ticket_keys.h"
#include "net/tls/validity.h"

struct ssl_ctx_st;
struct ssl_session_st;
struct ssl_st;
struct x509_st;
struct x509_store_ctx_st;
struct stack_st_X509;

namespace pelikan::net::tls {

class Admission {
 public:
  struct Rules {
    bool certificate_required = false;
    AllowList allow;
    std::int64_t lists_end = Validity::kForever;  // when the first of the revocation lists is out of date
    std::shared_ptr<TicketKeys> ticket_keys;
    const Clock& clock;  // outlives the SSL_CTX
  };

  explicit Admission(Rules rules) : rules_(std::move(rules)) {}

  // From now on `context` asks `admission`, which it owns.
  static void put_in_charge(ssl_ctx_st* context, std::unique_ptr<Admission> admission);
  // Null: a client's side.
  [[nodiscard]] static const Admission* of(const ssl_ctx_st* context) noexcept;

  [[nodiscard]] const std::shared_ptr<TicketKeys>& ticket_keys() const noexcept { return rules_.ticket_keys; }
  [[nodiscard]] bool certificate_required() const noexcept { return rules_.certificate_required; }
  // The name by which a verified certificate is let in, as shown(). Nothing: none is on the allow-list.
  [[nodiscard]] std::optional<std::string> name_admitted(const x509_st* certificate) const;
  // Verifies as in a full handshake under `context`, whose Admission this is. `certificate` may be null.
  [[nodiscard]] bool admits(ssl_ctx_st* context, x509_st* certificate, stack_st_X509* issuers, Failure& why) const;

 private:
  static int on_certificate(x509_store_ctx_st* verification, void* self);
  static int on_new_ticket(ssl_st* ssl, void* self);
  static int on_ticket(ssl_st* ssl, ssl_session_st* session, const unsigned char* name, std::size_t name_bytes,
                       int status, void* self);
  static int on_ticket_key(ssl_st* ssl, unsigned char* name, unsigned char* iv, evp_cipher_ctx_st* cipher,
                           evp_mac_ctx_st* mac, int sealing);
  [[nodiscard]] bool verify(x509_store_ctx_st* verification) const;
  [[nodiscard]] bool still_good(const ssl_session_st* session) const;

  Rules rules_;
};

}  // namespace pelikan::net::tls
