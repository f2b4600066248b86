#include "server/certificates.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "log/log.h"
#include "net/tls/files.h"

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

std::expected<config::List, std::string> list_in(const std::expected<config::Given, std::string>& settings,
                                                 const std::string& name) {
  if (!settings) return std::unexpected(settings.error());
  const auto found = settings->find(name);
  if (found == settings->end()) return {};
  return config::Codec<config::List>::read(found->second).value_or(config::List{});
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
  const auto settings = reread();
  for (const Port& port : ports_) {
    const auto outcome = port.credentials->reload(list_in(settings, allow_of(port)));
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

// What else has changed is told once.
std::expected<config::Given, std::string> Certificates::reread() {
  config::Given given;
  try {
    given = config_.reread();
  } catch (const std::exception& error) {
    return std::unexpected(error.what());
  }
  std::string names;
  for (const std::string& name : config::changed(config_.given(), given)) {
    if (std::ranges::find(ports_, name, [this](const Port& port) { return allow_of(port); }) != ports_.end()) continue;
    names += (names.empty() ? "" : ", ") + name;
  }
  if (names != std::exchange(need_restart_, names) && !names.empty())
    log::warn("settings that have changed, but need a restart: {}", names);
  return given;
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
  std::vector<std::string> directories = net::tls::directories_of(config_.files());
  for (const Port& port : ports_) {
    for (std::string& directory : port.credentials->directories()) directories.push_back(std::move(directory));
  }
  watch_->watch(directories);
}

}  // namespace pelikan::server
