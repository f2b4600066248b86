#include "core/tls_metrics.h"

#include "log/log.h"

namespace pelikan::core {

void TlsFailureMetrics::report(const net::tls::Failure& failure, std::string_view peer) {
  metrics::Counter* const counters[] = {nullptr,         &plain_text,         &protocol,    &no_common_ways,
                                        &no_certificate, &unknown_issuer,     &expired,     &not_yet_valid,
                                        &revoked,        &no_revocation_list, &not_allowed, &bad_certificate,
                                        &renegotiation,  &peer_alert,         &resources};
  static_assert(std::size(counters) == net::tls::kCauses);
  if (metrics::Counter* counter = counters[static_cast<std::size_t>(failure.cause)]; counter != nullptr) counter->add();
  static log::Limit limit;
  log::limited(limit, log::Level::kWarn, "TLS with {} failed: {}", peer, failure.text);
}

}  // namespace pelikan::core
