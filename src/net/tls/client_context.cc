#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <new>
#include <stdexcept>
#include <utility>
#include <vector>

#include "net/tls/context.h"
#include "net/tls/explain.h"
#include "net/tls/files.h"
#include "net/tls/wire.h"

namespace pelikan::net::tls {
namespace {

int version_of(const std::string& text) {
  if (text != "1.2" && text != "1.3") throw std::runtime_error("a version of TLS is 1.2 or 1.3, not " + text);
  return text == "1.2" ? TLS1_2_VERSION : TLS1_3_VERSION;
}

int verify_server(X509_STORE_CTX* verification, void*) {
  if (X509_verify_cert(verification) > 0) return 1;
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(verification, SSL_get_ex_data_X509_STORE_CTX_idx()));
  try {  // between us and the caller are functions of C
    remember(ssl, explain_verification(verification, "server"));
  } catch (const std::bad_alloc&) {
    X509_STORE_CTX_set_error(verification, X509_V_ERR_OUT_OF_MEM);
  }
  return 0;
}

void trust(SSL_CTX* context, const PemFile& file) {
  for (const Handle<X509>& authority : file.certificates())
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority.get()) != 1) file.fail(openssl_reason());
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_cert_verify_callback(context, verify_server, nullptr);
}

void show(SSL_CTX* context, const PemFile& certificates, const PemFile& key_file) {
  const std::vector<Handle<X509>> chain = certificates.certificates();
  ERR_clear_error();
  if (SSL_CTX_use_certificate(context, chain.front().get()) != 1) certificates.fail(openssl_reason());
  for (std::size_t i = 1; i < chain.size(); ++i)
    if (SSL_CTX_add1_chain_cert(context, chain[i].get()) != 1) certificates.fail(openssl_reason());
  const Handle<EVP_PKEY> key = key_file.private_key();
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1)
    key_file.fail("is not the certificate's key: " + openssl_reason());
}

bool is_address(const std::string& name) {
  std::array<unsigned char, sizeof(in6_addr)> bytes;
  return inet_pton(AF_INET, name.c_str(), bytes.data()) == 1 || inet_pton(AF_INET6, name.c_str(), bytes.data()) == 1;
}

}  // namespace

struct ClientContext::Tickets {
  static int index() {
    static const int instance = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
    return instance;
  }
  static int on_ticket(SSL* ssl, SSL_SESSION* session) {
    auto* self = static_cast<Tickets*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), index()));
    const std::lock_guard lock(self->mutex);
    self->newest.reset(SSL_SESSION_dup(session));  // ours: a connection that is cut spoils the session it has
    return 0;                                      // the reference given stays with OpenSSL
  }

  std::mutex mutex;
  Handle<SSL_SESSION> newest;  // GUARDED_BY(mutex)
};

ClientContext::ClientContext(const ClientOptions& options, const std::string& prefix)
    : tickets_(std::make_unique<Tickets>()), context_(SSL_CTX_new(TLS_client_method())) {
  SSL_CTX* c = context_.get();
  if (c == nullptr || SSL_CTX_set_ex_data(c, Tickets::index(), tickets_.get()) != 1) throw std::bad_alloc();
  SSL_CTX_set_min_proto_version(c, version_of(options.min_version));
  SSL_CTX_set_max_proto_version(c, version_of(options.max_version));
  SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(c, SSL_MODE_NO_AUTO_CHAIN);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(c, Tickets::on_ticket);
  watch_messages(c);
  if (!options.ca_file.empty()) trust(c, PemFile(prefix + "ca_file", options.ca_file));
  if (options.certificate_file.empty() != options.key_file.empty())
    throw std::runtime_error(prefix + "certificate_file and " + prefix + "key_file go together: give both or none");
  if (!options.certificate_file.empty()) {
    show(c, PemFile(prefix + "certificate_file", options.certificate_file),
         PemFile(prefix + "key_file", options.key_file));
  }
}

ClientContext::~ClientContext() {
  // An SSL that lives longer must not find tickets_.
  SSL_CTX_sess_set_new_cb(context_.get(), nullptr);
}

std::unique_ptr<Session> ClientContext::connect(const std::string& server_name, bool resume) const {
  Handle<SSL> ssl(SSL_new(context_.get()));
  if (!ssl) return nullptr;
  SSL_set_connect_state(ssl.get());
  if (is_address(server_name)) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl.get()), server_name.c_str());
  } else if (!server_name.empty()) {
    if (SSL_set_tlsext_host_name(ssl.get(), server_name.c_str()) != 1 ||
        SSL_set1_host(ssl.get(), server_name.c_str()) != 1) {
      return nullptr;
    }
  }
  if (resume) {
    const std::lock_guard lock(tickets_->mutex);
    const Handle<SSL_SESSION> copy(tickets_->newest ? SSL_SESSION_dup(tickets_->newest.get()) : nullptr);
    if (copy) SSL_set_session(ssl.get(), copy.get());
  }
  return Session::over(std::move(ssl));
}

}  // namespace pelikan::net::tls
