// The certificates in force, and their replacement while the server runs.
//
// Owner:   the server's main, one per port that speaks TLS. Threads: any (a mutex; nobody asks per request).
// Reload:  the files, and the patterns that the caller has read again, are checked as at start; only if all is well
//          does the new Context replace the old. A change of CA, CRL or allow-list also makes all session tickets void:
//          a resumed session is not verified again. Patterns where there were some before cannot become none: a
//          configuration file that is caught half written must not let in everybody.
// Failure: the constructor throws one line; reload() returns it, and everything stays as it was.
#pragma once

#include <expected>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "metrics/metrics.h"
#include "net/tls/context.h"
#include "net/tls/options.h"

namespace pelikan::net::tls {

// Named after the section, as two ports may have Credentials: "tls_reload", "admin_tls_reload".
class ReloadMetrics : public metrics::Group {
 public:
  explicit ReloadMetrics(std::string_view section) : section_(section) {}

 private:
  std::string section_;
  std::string names_[5] = {section_ + "_reload", section_ + "_reload_ex", section_ + "_swap",
                           section_ + "_certificate_not_after", section_ + "_crl_next_update"};

 public:
  metrics::Counter reload{this, names_[0].c_str(), "certificates read again, with success (changed or not)"};
  metrics::Counter reload_ex{this, names_[1].c_str(), "certificates read again, but something was wrong: the old stay"};
  metrics::Counter swap{this, names_[2].c_str(), "times that new certificates, authorities or lists were put in force"};
  metrics::Gauge not_after{this, names_[3].c_str(), "Unix time at which the server's certificate expires"};
  metrics::Gauge lists_end{this, names_[4].c_str(),
                           "Unix time at which the first revocation list is out of date, and its clients are refused; "
                           "0: there is none"};
};

enum class Reloaded : std::uint8_t {
  kUnchanged,
  kSwapped,       // new certificate, key or settings
  kTrustChanged,  // CA, CRL or allow-list: live sessions must be looked at again, see Session::still_admitted()
};

class Credentials {
 public:
  // REQUIRES: `options` outlive this, and `clock` all sessions. Throws.
  explicit Credentials(const TlsOptions& options, const Clock& clock = Context::system_clock());
  ~Credentials();

  [[nodiscard]] std::shared_ptr<const Context> current() const;
  // `allow`: the patterns from now on, or why nobody knows.
  [[nodiscard]] std::expected<Reloaded, std::string> reload(const std::expected<config::List, std::string>& allow);
  // The directories in which a changed file may appear, the targets of symbolic links included; for inotify.
  [[nodiscard]] std::vector<std::string> directories() const;

 private:
  std::unexpected<std::string> keep(const std::string& why);
  void put_in_force(std::shared_ptr<const Context> context);

  const TlsOptions& options_;
  const Clock& clock_;
  std::mutex reload_mutex_;  // one reload at a time; current() does not wait for it
  ReloadMetrics metrics_;    // GUARDED_BY(reload_mutex_)
  config::List allow_;       // those in force: GUARDED_BY(reload_mutex_)
  mutable std::mutex mutex_;
  std::shared_ptr<const Context> current_;  // GUARDED_BY(mutex_)
};

}  // namespace pelikan::net::tls
