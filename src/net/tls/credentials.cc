#include "net/tls/credentials.h"

#include <exception>
#include <utility>

#include "net/tls/files.h"

namespace pelikan::net::tls {

Credentials::Credentials(const TlsOptions& options, const Clock& clock)
    : options_(options), clock_(clock), metrics_(options.name()), allow_(options.allow()) {
  put_in_force(Context::load(options, clock));
}

Credentials::~Credentials() = default;

std::shared_ptr<const Context> Credentials::current() const {
  const std::lock_guard lock(mutex_);
  return current_;
}

std::expected<Reloaded, std::string> Credentials::reload(const std::expected<config::List, std::string>& allow) {
  const std::lock_guard one_at_a_time(reload_mutex_);
  if (!allow) return keep(allow.error());
  if (allow->empty() && !allow_.empty())
    return keep(std::string(options_.name()) +
                ".allow: is empty now, which would let in every valid certificate: restart if that is wanted");
  const std::shared_ptr<const Context> old = current();
  std::shared_ptr<const Context> loaded;
  try {
    loaded = Context::load(options_, clock_, old.get(), &*allow);
  } catch (const std::exception& error) {
    return keep(error.what());
  }
  allow_ = *allow;
  metrics_.reload.add();
  if (loaded->fingerprint() == old->fingerprint()) return Reloaded::kUnchanged;
  const bool trust_changed = loaded->trust_fingerprint() != old->trust_fingerprint();
  put_in_force(std::move(loaded));
  metrics_.swap.add();
  return trust_changed ? Reloaded::kTrustChanged : Reloaded::kSwapped;
}

std::unexpected<std::string> Credentials::keep(const std::string& why) {
  metrics_.reload_ex.add();
  return std::unexpected(why);
}

void Credentials::put_in_force(std::shared_ptr<const Context> context) {
  metrics_.not_after.set(context->not_after());
  metrics_.lists_end.set(context->lists_end());
  const std::lock_guard lock(mutex_);
  current_ = std::move(context);
}

std::vector<std::string> Credentials::directories() const {
  std::vector<std::string> files;
  for (const auto* file : {&options_.certificate, &options_.certificate_chain, &options_.private_key, &options_.ca_file,
                           &options_.crl_file}) {
    if (!(*file)().empty()) files.push_back((*file)());
  }
  return directories_of(files);
}

}  // namespace pelikan::net::tls
