// The certificates of a server's ports: loaded at start, and again on HUP, on POST /tls/reload and when a file changes.
// With them who is let in: each port's `allow` is read again from the configuration file. All other settings stay.
// Owner:   main. Threads: reload() on any, the rest on main's.
// Failure: add() throws one line; a reload that fails leaves everything as it was, and says why.
#pragma once

#include <expected>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "config/config.h"
#include "net/tls/credentials.h"
#include "server/file_watch.h"

namespace pelikan::server {

class Certificates {
 public:
  // REQUIRES: `config`, which has loaded the settings of all ports, outlives this.
  explicit Certificates(const config::Config& config) : config_(config) {}

  // Null when `options` name no certificate. `on_trust_changed`: live sessions must be looked at again.
  [[nodiscard]] net::tls::Credentials* add(const net::tls::TlsOptions& options,
                                           std::function<void()> on_trust_changed = {});
  [[nodiscard]] bool empty() const noexcept { return ports_.empty(); }

  // A line per port: "tls: swapped". Or the lines of those that went wrong. Logged, too.
  std::expected<std::string, std::string> reload();

  // Readable when a file may have changed; -1 when there is nothing to watch. Then on_change() is to be called.
  [[nodiscard]] int watched_fd();
  void on_change();

 private:
  struct Port {
    std::string name;
    std::unique_ptr<net::tls::Credentials> credentials;
    std::function<void()> on_trust_changed;
  };

  [[nodiscard]] std::expected<config::Given, std::string> reread();
  [[nodiscard]] std::string allow_of(const Port& port) const { return port.name + ".allow"; }
  void watch();

  const config::Config& config_;
  std::vector<Port> ports_;
  std::mutex reload_mutex_;           // one reload at a time, so that the log tells them apart
  std::unique_ptr<FileWatch> watch_;  // which directories: GUARDED_BY(reload_mutex_)
  std::string need_restart_;          // the settings that the log was told of last: GUARDED_BY(reload_mutex_)
};

}  // namespace pelikan::server
