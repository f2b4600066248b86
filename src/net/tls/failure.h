// Why a TLS connection failed: for counters, and for the log line that names the cause.
#pragma once

#include <cstdint>
#include <string>

namespace pelikan::net::tls {

enum class Cause : std::uint8_t {
  kNone,
  kPlainText,      // the first bytes are no TLS record
  kProtocol,       // a record or message that makes no sense, or was tampered with
  kNoCommonWays,   // no version, cipher or group that both sides allow
  kNoCertificate,  // the client sent none, and one is required
  kUnknownIssuer,  // its certificate leads to none of our authorities
  kExpired,
  kNotYetValid,
  kRevoked,
  kNoRevocationList,  // revocation is checked, but no list in force covers it: ours is missing or has grown too old
  kNotAllowed,        // valid, but no name of it is on the allow-list
  kBadCertificate,    // anything else that is wrong with it
  kRenegotiation,     // TLS 1.2: the client asked for a new handshake
  kPeerAlert,         // the client ended it (it may not trust us)
  kResources,         // memory, or OpenSSL itself
};

struct Failure {
  Cause cause = Cause::kNone;
  std::string text;  // a sentence for the log: what happened, with the client's name where it has one
};

}  // namespace pelikan::net::tls
