#include "net/tls/admission.h"

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "base/check.h"
#include "net/tls/explain.h"
#include "net/tls/handles.h"
#include "net/tls/names.h"

namespace pelikan::net::tls {
namespace {

void free_admission(void*, void* admission, CRYPTO_EX_DATA*, int, long, void*) {
  delete static_cast<Admission*>(admission);
}

int admission_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, free_admission);
  return index;
}

}  // namespace

void Admission::put_in_charge(SSL_CTX* context, std::unique_ptr<Admission> admission) {
  Admission* self = admission.get();
  if (SSL_CTX_set_ex_data(context, admission_index(), self) != 1) throw std::bad_alloc();
  [[maybe_unused]] const Admission* owned_by_context = admission.release();
  if (self->rules_.certificate_required) {
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    SSL_CTX_set_cert_verify_callback(context, on_certificate, self);
  }
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket_key);
  SSL_CTX_set_session_ticket_cb(context, on_new_ticket, on_ticket, self);
}

const Admission* Admission::of(const SSL_CTX* context) noexcept {
  return static_cast<const Admission*>(SSL_CTX_get_ex_data(context, admission_index()));
}

std::optional<std::string> Admission::name_admitted(const X509* certificate) const {
  if (rules_.allow.empty()) return name_shown(certificate);
  const std::vector<Name> names = names_in(certificate);
  const Name* match = rules_.allow.match(names);
  return match == nullptr ? std::nullopt : std::optional(shown(*match));
}

bool Admission::verify(X509_STORE_CTX* verification) const {
  X509_STORE_CTX_set_time(verification, 0, rules_.clock.now().unix_sec);
  if (X509_verify_cert(verification) <= 0) return false;
  if (name_admitted(X509_STORE_CTX_get0_cert(verification))) return true;
  X509_STORE_CTX_set_error(verification, X509_V_ERR_APPLICATION_VERIFICATION);
  X509_STORE_CTX_set_error_depth(verification, 0);
  return false;
}

int Admission::on_certificate(X509_STORE_CTX* verification, void* self) {
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(verification, SSL_get_ex_data_X509_STORE_CTX_idx()));
  try {  // between us and the caller are functions of C
    if (static_cast<const Admission*>(self)->verify(verification)) return 1;
    remember(ssl, explain_verification(verification, "client"));
  } catch (const std::bad_alloc&) {
    X509_STORE_CTX_set_error(verification, X509_V_ERR_OUT_OF_MEM);
  }
  return 0;
}

bool Admission::admits(SSL_CTX* context, X509* certificate, STACK_OF(X509) * issuers, Failure& why) const {
  if (!rules_.certificate_required) return true;
  if (certificate == nullptr) {
    why = {Cause::kNoCertificate, "the client sent no certificate"};
    return false;
  }
  const Handle<X509_STORE_CTX> verification(X509_STORE_CTX_new());
  if (!verification ||
      X509_STORE_CTX_init(verification.get(), SSL_CTX_get_cert_store(context), certificate, issuers) != 1 ||
      X509_STORE_CTX_set_default(verification.get(), "ssl_client") != 1) {
    why = {Cause::kResources, "no memory to verify a certificate again"};
    return false;
  }
  X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(verification.get());
  X509_VERIFY_PARAM_set1(parameters, SSL_CTX_get0_param(context));
  X509_VERIFY_PARAM_set_auth_level(parameters, SSL_CTX_get_security_level(context));
  if (verify(verification.get())) return true;
  why = explain_verification(verification.get(), "client");
  return false;
}

int Admission::on_new_ticket(SSL* ssl, void* self) {
  const Rules& rules = static_cast<const Admission*>(self)->rules_;
  if (!rules.certificate_required || SSL_session_reused(ssl) == 1) return 1;  // one that is reused carries it already
  std::int64_t end = rules.lists_end;
  const STACK_OF(X509)* chain = SSL_get0_verified_chain(ssl);
  if (sk_X509_num(chain) < 1) return 0;
  for (int i = 0; i < sk_X509_num(chain); ++i) end = std::min(end, validity_of(sk_X509_value(chain, i)).ends);
  return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), &end, sizeof end);
}

bool Admission::still_good(const SSL_SESSION* session) const {
  if (!rules_.certificate_required) return true;
  const X509* certificate = SSL_SESSION_get0_peer(const_cast<SSL_SESSION*>(session));
  void* data = nullptr;
  std::size_t size = 0;
  std::int64_t end = 0;
  SSL_SESSION_get0_ticket_appdata(const_cast<SSL_SESSION*>(session), &data, &size);
  if (certificate == nullptr || size != sizeof end) return false;
  std::memcpy(&end, data, sizeof end);
  const std::int64_t now = rules_.clock.now().unix_sec;
  return now < end && !validity_of(certificate).too_early(now);
}

// A client of TLS 1.3 is to use a ticket once (RFC 8446, C.4), so it gets another with each handshake.
int Admission::on_ticket(SSL* ssl, SSL_SESSION* session, const unsigned char*, std::size_t, SSL_TICKET_STATUS status,
                         void* self) {
  const bool opened = status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW;
  if (!opened || !static_cast<const Admission*>(self)->still_good(session)) return SSL_TICKET_RETURN_IGNORE_RENEW;
  const bool renew = status == SSL_TICKET_SUCCESS_RENEW || SSL_version(ssl) == TLS1_3_VERSION;
  return renew ? SSL_TICKET_RETURN_USE_RENEW : SSL_TICKET_RETURN_USE;
}

int Admission::on_ticket_key(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                             int sealing) {
  const Admission* self = of(SSL_get_SSL_CTX(ssl));
  CHECK(self != nullptr);
  constexpr int kFailed = -1, kWithout = 0, kGood = 1, kGoodButRenew = 2;
  TicketKeys& keys = *self->rules_.ticket_keys;
  if (sealing != 0) return keys.seal(name, iv, cipher, mac) ? kGood : kWithout;
  switch (keys.open(name, iv, cipher, mac)) {
    case TicketKeys::Opened::kYes: return kGood;
    case TicketKeys::Opened::kYesByOldKey: return kGoodButRenew;
    case TicketKeys::Opened::kNo: return kWithout;
    case TicketKeys::Opened::kError: break;
  }
  return kFailed;
}

}  // namespace pelikan::net::tls
