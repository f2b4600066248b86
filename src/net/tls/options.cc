#include "net/tls/options.h"

namespace pelikan::net::tls {

void TlsOptions::fail(const config::Entry& key, std::string_view what) const {
  throw config::Error(std::string(name()) + "." + std::string(key.name()) + ": " + std::string(what));
}

// By value, not by is_set(): what --print-config writes must load again.
bool TlsOptions::any_set() const {
  for (const auto* text :
       {&certificate_chain, &certificate, &private_key, &ca_file, &crl_file, &ciphers, &ciphersuites})
    if (!(*text)().empty()) return true;
  return !allow().empty() || min_version() != kMinVersion || ticket_rotation() != kTicketRotation;
}

void TlsOptions::check() const {
  if (!any_set()) return;
  if (certificate().empty() && certificate_chain().empty())
    fail(certificate_chain, "other keys of this section are set, so a certificate is needed too (or none of them)");
  if (private_key().empty()) fail(private_key, "a certificate is set, so its private key is needed too");
  if (!crl_file().empty() && ca_file().empty())
    fail(crl_file, "has no effect without ca_file, the authorities of clients: set that too");
  check_allow(allow());
}

void TlsOptions::check_allow(const config::List& patterns) const {
  if (!patterns.empty() && ca_file().empty())
    fail(allow, "has no effect without ca_file, which makes clients show a certificate: set that too");
}

}  // namespace pelikan::net::tls
