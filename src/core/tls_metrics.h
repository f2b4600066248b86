// TLS connections that failed, by cause, in the handshake and after it; and the log line that says so.
// Owner: a listener or a worker. Threads: its owner's.
#pragma once

#include <array>
#include <string_view>

#include "metrics/metrics.h"
#include "net/tls/failure.h"

namespace pelikan::core {

struct TlsFailureMetrics : metrics::Group {
  using Cause = net::tls::Cause;

  metrics::Counter plain_text{this, "tls_failure_plain_text", "plain text on the TLS port"};
  metrics::Counter protocol{this, "tls_failure_protocol", "TLS records or messages that make no sense"};
  metrics::Counter no_common_ways{this, "tls_failure_no_common_ways", "no TLS version or cipher that both sides allow"};
  metrics::Counter no_certificate{this, "tls_failure_no_certificate",
                                  "clients without the certificate that is required"};
  metrics::Counter unknown_issuer{this, "tls_failure_unknown_issuer", "client certificates of an unknown authority"};
  metrics::Counter expired{this, "tls_failure_expired", "client certificates that have expired"};
  metrics::Counter not_yet_valid{this, "tls_failure_not_yet_valid", "client certificates that are not valid yet"};
  metrics::Counter revoked{this, "tls_failure_revoked", "client certificates that are revoked"};
  metrics::Counter no_revocation_list{this, "tls_failure_no_revocation_list",
                                      "client certificates that no revocation list in force covers"};
  metrics::Counter not_allowed{this, "tls_failure_not_allowed", "client certificates that tls.allow does not name"};
  metrics::Counter bad_certificate{this, "tls_failure_bad_certificate", "client certificates wrong in another way"};
  metrics::Counter renegotiation{this, "tls_failure_renegotiation", "clients that asked for renegotiation"};
  metrics::Counter peer_alert{this, "tls_failure_peer_alert", "TLS connections ended by an alert of the client"};
  metrics::Counter resources{this, "tls_failure_resources", "TLS connections that failed for want of memory"};

  // Counts it, and says so in the log (a few lines a second at most).
  void report(const net::tls::Failure& failure, std::string_view peer);
};

}  // namespace pelikan::core
