// From what OpenSSL says to a Failure.
#pragma once

#include <string>

#include "net/tls/failure.h"

struct ssl_st;
struct x509_store_ctx_st;

namespace pelikan::net::tls {

// "client URI:spiffe://prod/web" when `ssl` has its certificate, "the client", "the server".
[[nodiscard]] std::string peer_called(const ssl_st* ssl);

// After a call on `ssl` has failed: of what remember() has kept, else of OpenSSL's errors. Clears these. `peer` is what
// to call the other side.
[[nodiscard]] Failure explain(const ssl_st* ssl, const std::string& peer);

// A certificate was refused, with the error of `verification`. `whose` is "client" or "server".
[[nodiscard]] Failure explain_verification(const x509_store_ctx_st* verification, const char* whose);

// Keeps what a callback has found out until explain() is asked. Belongs to the SSL.
void remember(ssl_st* ssl, Failure failure);

}  // namespace pelikan::net::tls
