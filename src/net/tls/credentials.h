// The certificates in force, and their replacement while the server runs.
//
// Owner:   the server's main, one per port that speaks TLS. Threads: any (a mutex; nobody asks per request).
// Reload:  the files are read and checked as at start; only if all is well does the new Context replace the old. A change
//          of CA or CRL also makes all session tickets void: a resumed session is not verified again.
// Failure: the constructor throws one line; reload() returns it, and everything stays as it was.
#pragma once

#include <expected>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "metrics/metrics.h"
#include "net/tls/context.h"
#include "net/tls/options.h"

namespace pelikan::net::tls {

class TicketKeys;

struct ReloadMetrics : metrics::Group {
  metrics::Counter reload{this, "tls_reload", "certificates read again, with success (changed or not)"};
  metrics::Counter reload_ex{this, "tls_reload_ex", "certificates read again, but something was wrong: the old stay"};
  metrics::Counter swap{this, "tls_swap", "times that new certificates, authorities or lists were put in force"};
  metrics::Gauge not_after{this, "tls_certificate_not_after", "Unix time at which the server's certificate expires"};
};

enum class Reloaded : std::uint8_t {
  kUnchanged,
  kSwapped,       // new certificate, key, allow-list or settings
  kTrustChanged,  // the allow-list, CA or CRL, too: live sessions must be looked at again
};

class Credentials {
 public:
  // REQUIRES: `options` outlive this. Throws.
  explicit Credentials(const TlsOptions& options);
  ~Credentials();

  [[nodiscard]] std::shared_ptr<const Context> current() const;
  [[nodiscard]] std::expected<Reloaded, std::string> reload();
  // The directories in which a changed file may appear, the targets of symbolic links included; for inotify.
  [[nodiscard]] std::vector<std::string> directories() const;

 private:
  const TlsOptions& options_;
  std::shared_ptr<TicketKeys> ticket_keys_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Context> current_;  // GUARDED_BY(mutex_)
  ReloadMetrics metrics_;                   // GUARDED_BY(mutex_)
};

}  // namespace pelikan::net::tls
