#include "net/tls/failure.h"

namespace pelikan::net::tls {

std::string_view name_of(Cause cause) noexcept {
  switch (cause) {
    case Cause::kNone: return "none";
    case Cause::kPlainText: return "plain_text";
    case Cause::kProtocol: return "protocol";
    case Cause::kNoCommonWays: return "no_common_ways";
    case Cause::kNoCertificate: return "no_certificate";
    case Cause::kUnknownIssuer: return "unknown_issuer";
    case Cause::kExpired: return "expired";
    case Cause::kNotYetValid: return "not_yet_valid";
    case Cause::kRevoked: return "revoked";
    case Cause::kNoRevocationList: return "no_revocation_list";
    case Cause::kNotAllowed: return "not_allowed";
    case Cause::kBadCertificate: return "bad_certificate";
    case Cause::kRenegotiation: return "renegotiation";
    case Cause::kPeerAlert: return "peer_alert";
    case Cause::kResources: return "resources";
  }
  return "";
}

}  // namespace pelikan::net::tls
