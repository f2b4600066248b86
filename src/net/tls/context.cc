#include "net/tls/context.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "net/tls/admission.h"
#include "net/tls/authorities.h"
#include "net/tls/files.h"
#include "net/tls/names.h"
#include "net/tls/validity.h"
#include "net/tls/wire.h"

namespace pelikan::net::tls {
namespace {

// All of them ECDHE with AEAD; 128 bits first, which is enough and faster.
constexpr const char* kCiphers =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr const char* kCiphersuites = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr int kSecurityLevel = 2;                           // 112 bits: RSA from 2048, no SHA-1
constexpr long kClientChainBytesMax = 32 << 10;             // a client's certificate and its issuers
constexpr std::chrono::seconds kTicketLifeMax{7 * 86'400};  // TLS 1.3 allows no more

}  // namespace

// One load, step by step.
class ContextLoader {
 public:
  ContextLoader(const TlsOptions& options, const Clock& clock, const Context* previous, const config::List& allow)
      : options_(options), clock_(clock), previous_(previous), allow_(allow), now_(clock.now().unix_sec) {}

  std::shared_ptr<const Context> run() {
    options_.check();
    options_.check_allow(allow_);
    if (!options_.any_set()) fail(options_.certificate_chain, "TLS needs a certificate");
    made_->context_.reset(SSL_CTX_new(TLS_server_method()));
    if (!made_->context_) throw std::bad_alloc();
    set_policy();
    set_ciphers();
    load_certificate();
    load_authorities();
    admit();
    made_->fingerprint_ = fingerprint_.value();
    return std::move(made_);
  }

 private:
  SSL_CTX* context() { return made_->context_.get(); }
  [[noreturn]] void fail(const config::Entry& key, const std::string& what) const {
    throw std::runtime_error(setting(key) + ": " + what);
  }
  [[nodiscard]] std::string setting(const config::Entry& key) const {
    return std::string(options_.name()) + "." + std::string(key.name());
  }
  // Reads the file that `key` names and remembers what was in it.
  std::unique_ptr<PemFile> read(const config::Option<std::string>& key) {
    auto file = std::make_unique<PemFile>(setting(key), key());
    fingerprint_.add(file->contents());
    return file;
  }

  void set_policy() {
    SSL_CTX* c = context();
    SSL_CTX_set_security_level(c, kSecurityLevel);
    SSL_CTX_set_min_proto_version(c, options_.min_version() == "1.3" ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_max_proto_version(c, TLS1_3_VERSION);
    // Whatever the machine's openssl.cnf says.
    SSL_CTX_clear_options(c, SSL_OP_ALL | SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION);
    SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                               SSL_OP_IGNORE_UNEXPECTED_EOF);
    // Issuers are sent as configured, never completed from the clients' authorities.
    SSL_CTX_set_mode(c, SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_early_data(c, 0);
    const bool tickets = options_.ticket_rotation().count() > 0;
    SSL_CTX_set_num_tickets(c, tickets ? 1 : 0);
    if (!tickets) SSL_CTX_set_options(c, SSL_OP_NO_TICKET);
    const auto life = std::chrono::ceil<std::chrono::seconds>(2 * options_.ticket_rotation());
    SSL_CTX_set_timeout(c, std::min(life, kTicketLifeMax).count());
    SSL_CTX_set_max_cert_list(c, kClientChainBytesMax);
    watch_messages(c);
    fingerprint_.add(options_.min_version());
  }

  void set_ciphers() {
    const auto given = [](const std::string& text, const char* otherwise) {
      return text.empty() ? otherwise : text.c_str();
    };
    ERR_clear_error();
    if (SSL_CTX_set_cipher_list(context(), given(options_.ciphers(), kCiphers)) != 1)
      fail(options_.ciphers, clean(options_.ciphers()) + ": no cipher of OpenSSL fits; see `openssl ciphers -v`");
    if (SSL_CTX_set_ciphersuites(context(), given(options_.ciphersuites(), kCiphersuites)) != 1)
      fail(options_.ciphersuites, clean(options_.ciphersuites()) + ": unknown; see `openssl ciphers -tls1_3`");
    // Without authentication no client would be asked for its certificate; without encryption it were no TLS.
    const STACK_OF(SSL_CIPHER)* ciphers = SSL_CTX_get_ciphers(context());
    for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); ++i) {
      const SSL_CIPHER* cipher = sk_SSL_CIPHER_value(ciphers, i);
      if (SSL_CIPHER_get_auth_nid(cipher) == NID_auth_null || SSL_CIPHER_get_cipher_nid(cipher) == NID_undef)
        fail(options_.ciphers,
             std::string(SSL_CIPHER_get_name(cipher)) + " does not authenticate or encrypt: leave it out");
    }
    fingerprint_.add(options_.ciphers());
    fingerprint_.add(options_.ciphersuites());
  }

  void require_in_force(const PemFile& file, const X509* certificate) const {
    const Validity validity = validity_of(certificate);
    const std::string whose = "the certificate of " + name_shown(certificate);
    if (validity.over(now_)) file.fail(whose + " has expired: renew it");
    if (validity.too_early(now_)) file.fail(whose + " is not valid yet: check the clock, or wait");
  }

  void load_certificate() {
    std::vector<std::unique_ptr<PemFile>> files;
    for (const auto* key : {&options_.certificate, &options_.certificate_chain})
      if (!(*key)().empty()) files.push_back(read(*key));
    X509* previous = nullptr;
    for (const auto& file : files) {
      for (const Handle<X509>& certificate : file->certificates()) {
        // With `certificate`, the chain's file may have the leaf as well.
        if (previous != nullptr && X509_cmp(certificate.get(), leaf_.get()) == 0) continue;
        require_in_force(*file, certificate.get());
        if (previous == nullptr) {
          use_leaf(*file, certificate.get());
        } else {
          use_issuer(*file, certificate.get(), previous);
        }
        previous = certificate.get();
        chain_.emplace_back(up_ref(certificate.get()));
      }
    }
    use_key();
  }

  static X509* up_ref(X509* certificate) {
    X509_up_ref(certificate);
    return certificate;
  }

  void use_leaf(const PemFile& file, X509* certificate) {
    ERR_clear_error();
    if (SSL_CTX_use_certificate(context(), certificate) != 1) file.fail("cannot be used: " + openssl_reason());
    leaf_.reset(up_ref(certificate));
    made_->not_after_ = validity_of(certificate).ends;
  }

  void use_issuer(const PemFile& file, X509* certificate, X509* issued) {
    if (X509_check_issued(certificate, issued) != X509_V_OK)
      file.fail(name_shown(certificate) + " did not issue " + name_shown(issued) +
                ", which stands before it: put the server's certificate first and each issuer behind what it issued");
    if (SSL_CTX_add1_chain_cert(context(), certificate) != 1) file.fail("cannot be used: " + openssl_reason());
  }

  void use_key() {
    const auto file = read(options_.private_key);
    const Handle<EVP_PKEY> key = file->private_key();
    if (X509_check_private_key(leaf_.get(), key.get()) != 1)
      file->fail("is not the key of the certificate of " + name_shown(leaf_.get()) +
                 ": give the pair that belongs together");
    if (SSL_CTX_use_PrivateKey(context(), key.get()) != 1) file->fail("cannot be used: " + openssl_reason());
  }

  void load_authorities() {
    if (options_.ca_file().empty()) return;
    const auto authorities = read(options_.ca_file);
    trust_.add(authorities->contents());
    std::unique_ptr<PemFile> lists;
    if (!options_.crl_file().empty()) {
      lists = read(options_.crl_file);
      trust_.add(lists->contents());
    }
    lists_end_ = use_authorities(context(), *authorities, lists.get(), now_);
  }

  void admit() {
    for (const std::string& pattern : allow_) {
      fingerprint_.add(pattern);
      trust_.add(pattern);
    }
    made_->trust_fingerprint_ = trust_.value();
    made_->lists_end_ = lists_end_ == Validity::kForever ? 0 : lists_end_;
    Admission::put_in_charge(
        context(), std::make_unique<Admission>(Admission::Rules{.certificate_required = !options_.ca_file().empty(),
                                                                .allow = allow_list(),
                                                                .lists_end = lists_end_,
                                                                .ticket_keys = ticket_keys(),
                                                                .clock = clock_}));
    // A session that began under another trust is not resumed.
    const auto* id = reinterpret_cast<const unsigned char*>(&made_->trust_fingerprint_);
    if (SSL_CTX_set_session_id_context(context(), id, sizeof made_->trust_fingerprint_) != 1) throw std::bad_alloc();
  }

  [[nodiscard]] AllowList allow_list() const {
    try {
      return AllowList(allow_);
    } catch (const std::runtime_error& error) {
      fail(options_.allow, error.what());
    }
  }

  [[nodiscard]] std::shared_ptr<TicketKeys> ticket_keys() const {
    if (previous_ != nullptr && previous_->trust_fingerprint_ == made_->trust_fingerprint_)
      return Admission::of(previous_->native())->ticket_keys();
    return std::make_shared<TicketKeys>(options_.ticket_rotation(), clock_);
  }

  const TlsOptions& options_;
  const Clock& clock_;
  const Context* previous_;
  const config::List& allow_;
  const std::int64_t now_;
  std::shared_ptr<Context> made_{new Context};
  Fingerprint fingerprint_, trust_;
  Handle<X509> leaf_;
  std::vector<Handle<X509>> chain_;
  std::int64_t lists_end_ = Validity::kForever;
};

std::shared_ptr<const Context> Context::load(const TlsOptions& options, const Clock& clock, const Context* previous,
                                             const config::List* allow) {
  return ContextLoader(options, clock, previous, allow == nullptr ? options.allow() : *allow).run();
}

const Clock& Context::system_clock() {
  static const SystemClock clock;
  return clock;
}

std::unique_ptr<Session> Context::accept() const {
  Handle<SSL> ssl(SSL_new(context_.get()));
  if (!ssl) return nullptr;
  SSL_set_accept_state(ssl.get());
  return Session::over(std::move(ssl));
}

bool Context::requires_client_certificate() const noexcept {
  return Admission::of(context_.get())->certificate_required();
}

}  // namespace pelikan::net::tls
