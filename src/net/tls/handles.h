// OpenSSL's objects as values with an owner.
#pragma once

#include <memory>

struct bio_st;
struct evp_pkey_st;
struct ssl_ctx_st;
struct ssl_session_st;
struct ssl_st;
struct x509_st;
struct X509_crl_st;
struct x509_store_ctx_st;

namespace pelikan::net::tls {

struct Free {
  void operator()(bio_st* bio) const noexcept;
  void operator()(evp_pkey_st* key) const noexcept;
  void operator()(ssl_ctx_st* context) const noexcept;
  void operator()(ssl_session_st* session) const noexcept;
  void operator()(ssl_st* ssl) const noexcept;
  void operator()(x509_st* certificate) const noexcept;
  void operator()(X509_crl_st* list) const noexcept;
  void operator()(x509_store_ctx_st* verification) const noexcept;
};

template <class T>
using Handle = std::unique_ptr<T, Free>;

}  // namespace pelikan::net::tls
