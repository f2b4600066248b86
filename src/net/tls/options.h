// Settings of TLS, one section per port that may speak it: [tls] for the data port, [admin_tls] for the admin port.
// TLS is on when a certificate is given. What does not go together, or cannot be read, refuses to start: see
// Credentials.
#pragma once

#include <string>
#include <string_view>

#include "config/config.h"

namespace pelikan::net::tls {

struct TlsOptions : config::Section {
  static constexpr const char* kMinVersion = "1.2";
  static constexpr config::Duration kTicketRotation{3'600'000};

  explicit TlsOptions(std::string_view section = "tls") : Section(section) {}
  config::Option<std::string> certificate_chain{
      this, "certificate_chain", "",
      "PEM file: the server's certificate and its issuers, or with `certificate` the issuers alone"};
  config::Option<std::string> certificate{this, "certificate", "", "PEM file: the server's own certificate"};
  config::Option<std::string> private_key{this, "private_key", "", "PEM file: the key of the server's certificate"};
  config::Option<std::string> ca_file{
      this, "ca_file", "", "PEM file: the authorities of clients; when set, a valid client certificate is required"};
  config::Option<std::string> crl_file{this, "crl_file", "", "PEM file: revocation lists of those authorities"};
  config::Option<config::List> allow{
      this,
      "allow",
      {},
      "clients let in, by name: DNS:*.web.example, URI:spiffe://prod/**, IP:10.0.0.0/8, EMAIL:x@y, CN:x; "
      "`*` ends at the next . / or @, `**` does not; empty: every client with a valid certificate"};
  config::Option<std::string> min_version{this, "min_version", kMinVersion, "oldest version of TLS",
                                          config::OneOf{"1.2", "1.3"}};
  config::Option<std::string> ciphers{this, "ciphers", "",
                                      "TLS 1.2 ciphers, as OpenSSL spells them; empty: ECDHE with AES-GCM or ChaCha20"};
  config::Option<std::string> ciphersuites{this, "ciphersuites", "",
                                           "TLS 1.3 ciphersuites, as OpenSSL spells them; empty: AES-GCM or ChaCha20"};
  config::Option<config::Duration> ticket_rotation{
      this, "ticket_rotation", kTicketRotation,
      "age at which the key of session tickets is replaced; a ticket is good for up to twice as long; 0 = no tickets",
      config::Range{0, 86'400'000 * 7LL}};

  // Does a file or a pattern say that TLS is wanted?
  [[nodiscard]] bool any_set() const;
  void check() const override;
  // Throws config::Error when those patterns cannot go with these settings.
  void check_allow(const config::List& patterns) const;

 private:
  [[noreturn]] void fail(const config::Entry& key, std::string_view what) const;
};

}  // namespace pelikan::net::tls
