// The authorities of clients and their revocation lists, made ready for verification.
//
// Each authority in ca_file stands there with its issuers up to a root. With a crl_file each needs a list there:
// OpenSSL refuses all clients of one that has none, which is better learnt at start than by them. An intermediate
// authority that only clients send has no list, so with a crl_file it must be in ca_file, too.
// Failure: std::runtime_error, one line, as PemFile's.
#pragma once

#include <cstdint>

struct ssl_ctx_st;

namespace pelikan::net::tls {

class PemFile;

// Gives them to `context`, and their names for its clients to choose a certificate by. `lists` may be null.
// Returns when the first list is out of date, Validity::kForever when that is never.
std::int64_t use_authorities(ssl_ctx_st* context, const PemFile& authorities, const PemFile* lists, std::int64_t now);

}  // namespace pelikan::net::tls
