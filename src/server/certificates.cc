#include "server/certificates.h"

#include <utility>

#include "log/log.h"

namespace pelikan::server {
namespace {

const char* name_of(net::tls::Reloaded outcome) {
  switch (outcome) {
    case net::tls::Reloaded::kUnchanged: return "unchanged";
    case net::tls::Reloaded::kSwapped: return "swapped";
    case net::tls::Reloaded::kTrustChanged: return "swapped, and clients are checked again";
  }
  return "";
}

}  // namespace

net::tls::Credentials* Certificates::add(const net::tls::TlsOptions& options, std::function<void()> on_trust_changed) {
  if (!options.any_set()) return nullptr;
  ports_.push_back(
      {std::string(options.name()), std::make_unique<net::tls::Credentials>(options), std::move(on_trust_changed)});
  return ports_.back().credentials.get();
}

std::expected<std::string, std::string> Certificates::reload() {
  const std::scoped_lock lock(reload_mutex_);
  std::string report;
  std::string trouble;
  for (const Port& port : ports_) {
    const auto outcome = port.credentials->reload();
    if (!outcome) {
      log::error("{}: the certificates stay as they were: {}", port.name, outcome.error());
      trouble += port.name + ": " + outcome.error() + "\n";
      continue;
    }
    report += port.name + ": " + name_of(*outcome) + "\n";
    if (*outcome == net::tls::Reloaded::kUnchanged) continue;
    log::info("{}: certificates {}", port.name, name_of(*outcome));
    if (*outcome == net::tls::Reloaded::kTrustChanged && port.on_trust_changed) port.on_trust_changed();
  }
  if (watch_ != nullptr) watch();  // the files may lie in other directories now
  if (!trouble.empty()) return std::unexpected(trouble);
  return report;
}

int Certificates::watched_fd() {
  if (ports_.empty()) return -1;
  const std::scoped_lock lock(reload_mutex_);
  if (watch_ == nullptr) {
    watch_ = std::make_unique<FileWatch>();
    watch();
  }
  return watch_->fd();
}

void Certificates::on_change() {
  watch_->settle();
  [[maybe_unused]] const auto logged = reload();
}

void Certificates::watch() {
  std::vector<std::string> directories;
  for (const Port& port : ports_) {
    for (std::string& directory : port.credentials->directories()) directories.push_back(std::move(directory));
  }
  watch_->watch(directories);
}

}  // namespace pelikan::server
