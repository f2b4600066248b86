#include "net/tls/handles.h"

#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

namespace pelikan::net::tls {

void Free::operator()(bio_st* bio) const noexcept { BIO_free(bio); }
void Free::operator()(evp_pkey_st* key) const noexcept { EVP_PKEY_free(key); }
void Free::operator()(ssl_ctx_st* context) const noexcept { SSL_CTX_free(context); }
void Free::operator()(ssl_session_st* session) const noexcept { SSL_SESSION_free(session); }
void Free::operator()(ssl_st* ssl) const noexcept { SSL_free(ssl); }
void Free::operator()(x509_st* certificate) const noexcept { X509_free(certificate); }
void Free::operator()(X509_crl_st* list) const noexcept { X509_CRL_free(list); }
void Free::operator()(x509_store_ctx_st* verification) const noexcept { X509_STORE_CTX_free(verification); }

}  // namespace pelikan::net::tls
