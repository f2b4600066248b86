#include "net/tls/explain.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <memory>
#include <utility>

#include "net/tls/names.h"

namespace pelikan::net::tls {
namespace {

void free_failure(void*, void* failure, CRYPTO_EX_DATA*, int, long, void*) { delete static_cast<Failure*>(failure); }

int failure_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, free_failure);
  return index;
}

Cause cause_of_verification(int error) {
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED: return Cause::kExpired;
    case X509_V_ERR_CERT_NOT_YET_VALID: return Cause::kNotYetValid;
    case X509_V_ERR_CERT_REVOKED: return Cause::kRevoked;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: return Cause::kUnknownIssuer;
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_DIFFERENT_CRL_SCOPE: return Cause::kNoRevocationList;
    case X509_V_ERR_APPLICATION_VERIFICATION:  // our own: see Admission
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: return Cause::kNotAllowed;
    case X509_V_ERR_OUT_OF_MEM: return Cause::kResources;
    default: return Cause::kBadCertificate;
  }
}

Cause cause_of_reason(int reason) {
  switch (reason) {
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return Cause::kNoCertificate;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_CIPHERS_AVAILABLE:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SHARED_GROUPS:
    case SSL_R_NO_SUITABLE_GROUPS:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
    case SSL_R_MISSING_SIGALGS_EXTENSION:
    case SSL_R_MISSING_SUPPORTED_GROUPS_EXTENSION:
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_UNSUPPORTED_SSL_VERSION:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_VERSION_TOO_HIGH:
    case SSL_R_INAPPROPRIATE_FALLBACK: return Cause::kNoCommonWays;
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
    case SSL_R_BAD_SIGNATURE: return Cause::kBadCertificate;
    case ERR_R_MALLOC_FAILURE: return Cause::kResources;
    default: break;  // "internal error" among them: OpenSSL says it of some records that are too short
  }
  const bool alert = reason > SSL_AD_REASON_OFFSET && reason <= SSL_AD_REASON_OFFSET + 255;
  return alert ? Cause::kPeerAlert : Cause::kProtocol;
}

std::string sentence(Cause cause, const std::string& peer, const std::string& reason) {
  switch (cause) {
    case Cause::kNoCertificate: return peer + " sent no certificate";
    case Cause::kNoCommonWays: return peer + " and we have no version, cipher, group or signature in common: " + reason;
    case Cause::kBadCertificate: return peer + " did not prove that the certificate is its own: " + reason;
    case Cause::kPeerAlert: return peer + " ended the connection: " + reason;
    case Cause::kResources: return "OpenSSL failed: " + reason;
    default: return peer + " sent what is no valid TLS: " + reason;
  }
}

}  // namespace

std::string peer_called(const SSL* ssl) {
  const X509* certificate = SSL_get0_peer_certificate(ssl);
  if (!SSL_is_server(ssl)) return "the server";
  return certificate == nullptr ? "the client" : "client " + name_shown(certificate);
}

Failure explain(const SSL* ssl, const std::string& peer) {
  if (const auto* kept = static_cast<const Failure*>(SSL_get_ex_data(ssl, failure_index()))) {
    ERR_clear_error();
    return *kept;
  }
  // The first error of libssl is the cause, those after it are what it led to; before it, details of libcrypto.
  unsigned long error = 0;
  while (const unsigned long next = ERR_get_error()) {
    if (error == 0 || (ERR_GET_LIB(error) != ERR_LIB_SSL && ERR_GET_LIB(next) == ERR_LIB_SSL)) error = next;
  }
  if (error == 0) return {Cause::kPeerAlert, peer + " closed the connection"};
  const char* reason = ERR_reason_error_string(error);
  const Cause cause = ERR_GET_LIB(error) == ERR_LIB_SSL ? cause_of_reason(ERR_GET_REASON(error)) : Cause::kProtocol;
  return {cause, sentence(cause, peer, reason == nullptr ? "no reason given" : reason)};
}

Failure explain_verification(const X509_STORE_CTX* verification, const char* whose) {
  const int error = X509_STORE_CTX_get_error(verification);
  const X509* leaf = X509_STORE_CTX_get0_cert(verification);
  const X509* at = X509_STORE_CTX_get_current_cert(verification);
  const Cause cause = cause_of_verification(error);
  std::string text =
      std::string("the certificate of ") + whose + " " + (leaf ? name_shown(leaf) : "without one") + ": ";
  text += error == X509_V_ERR_APPLICATION_VERIFICATION ? "no name in it is on the allow-list"
                                                       : X509_verify_cert_error_string(error);
  if (at != nullptr && leaf != nullptr && X509_STORE_CTX_get_error_depth(verification) > 0)
    text += " (its issuer " + name_shown(at) + ")";
  return {cause, std::move(text)};
}

void remember(SSL* ssl, Failure failure) {
  delete static_cast<Failure*>(SSL_get_ex_data(ssl, failure_index()));
  SSL_set_ex_data(ssl, failure_index(), new Failure(std::move(failure)));
}

}  // namespace pelikan::net::tls
