#include "core/tls_metrics.h"

#include "log/log.h"

namespace pelikan::core {
namespace {

// A cause without a counter does not compile.
metrics::Counter* counter_of(TlsFailureMetrics& metrics, net::tls::Cause cause) {
  using enum net::tls::Cause;
  switch (cause) {
    case kNone: return nullptr;
    case kPlainText: return &metrics.plain_text;
    case kProtocol: return &metrics.protocol;
    case kNoCommonWays: return &metrics.no_common_ways;
    case kNoCertificate: return &metrics.no_certificate;
    case kUnknownIssuer: return &metrics.unknown_issuer;
    case kExpired: return &metrics.expired;
    case kNotYetValid: return &metrics.not_yet_valid;
    case kRevoked: return &metrics.revoked;
    case kNoRevocationList: return &metrics.no_revocation_list;
    case kNotAllowed: return &metrics.not_allowed;
    case kBadCertificate: return &metrics.bad_certificate;
    case kRenegotiation: return &metrics.renegotiation;
    case kPeerAlert: return &metrics.peer_alert;
    case kResources: return &metrics.resources;
  }
  return nullptr;
}

}  // namespace

void TlsFailureMetrics::report(const net::tls::Failure& failure, std::string_view peer) {
  if (metrics::Counter* counter = counter_of(*this, failure.cause); counter != nullptr) counter->add();
  static log::Limit limit;
  log::limited(limit, log::Level::kWarn, "TLS with {} failed: {}", peer, failure.text);
}

}  // namespace pelikan::core
