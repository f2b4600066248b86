#include "net/tls/authorities.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <string>
#include <vector>

#include "net/tls/files.h"
#include "net/tls/names.h"
#include "net/tls/validity.h"

namespace pelikan::net::tls {
namespace {

using Authorities = std::vector<Handle<X509>>;
using Lists = std::vector<Handle<X509_CRL>>;

constexpr int kChainDepthMax = 8;  // issuers between a client and a root

bool signed_by(X509_CRL* list, X509* authority) {
  if (X509_NAME_cmp(X509_get_subject_name(authority), X509_CRL_get_issuer(list)) != 0) return false;
  const bool good = X509_CRL_verify(list, X509_get0_pubkey(authority)) == 1;
  ERR_clear_error();
  return good;
}

void require_good(const PemFile& file, X509* authority, const Authorities& all) {
  if (X509_check_ca(authority) == 0)
    file.fail(name_shown(authority) + " is no authority (CA:FALSE): give those that issue certificates");
  const bool has_issuer = std::ranges::any_of(
      all, [&](const Handle<X509>& other) { return X509_check_issued(other.get(), authority) == X509_V_OK; });
  if (!has_issuer)
    file.fail(name_shown(authority) + " is an intermediate authority whose issuer is missing: add it, up to the root");
}

void require_good(const PemFile& file, X509_CRL* list, const Authorities& authorities, std::int64_t now) {
  const std::string whose = "the list of " + name_shown(X509_CRL_get_issuer(list));
  const auto signs = [&](const Handle<X509>& authority) { return signed_by(list, authority.get()); };
  if (std::ranges::none_of(authorities, signs)) file.fail(whose + " is signed by none of the authorities in ca_file");
  if (X509_CRL_get_ext_by_NID(list, NID_delta_crl, -1) >= 0) file.fail(whose + " is a delta: give the complete list");
  const Validity validity = validity_of(list);
  if (validity.too_early(now)) file.fail(whose + " is not valid yet: check the clock");
  if (validity.over(now)) file.fail(whose + " is out of date: fetch the present one");
}

void require_list(const PemFile& file, X509* authority, const Lists& lists) {
  const auto covers = [&](const Handle<X509_CRL>& list) { return signed_by(list.get(), authority); };
  if (std::ranges::none_of(lists, covers))
    file.fail("has no list of " + name_shown(authority) + ", so none of its clients could come in: add one");
}

}  // namespace

std::int64_t use_authorities(SSL_CTX* context, const PemFile& authorities_file, const PemFile* lists_file,
                             std::int64_t now) {
  const Authorities authorities = authorities_file.certificates();
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  for (const Handle<X509>& authority : authorities) {
    require_good(authorities_file, authority.get(), authorities);
    if (X509_STORE_add_cert(store, authority.get()) != 1 || SSL_CTX_add_client_CA(context, authority.get()) != 1)
      authorities_file.fail("cannot be used: " + openssl_reason());
  }
  SSL_CTX_set_verify_depth(context, kChainDepthMax);
  // One that has expired may stay in the file beside its successor: it lets nobody in.
  const auto in_force = [now](const Handle<X509>& authority) { return !validity_of(authority.get()).over(now); };
  if (std::ranges::none_of(authorities, in_force))
    authorities_file.fail("all authorities in it have expired: no client could come in");
  if (lists_file == nullptr) return Validity::kForever;

  const Lists lists = lists_file->revocation_lists();
  std::int64_t ends = Validity::kForever;
  for (const Handle<X509_CRL>& list : lists) {
    require_good(*lists_file, list.get(), authorities, now);
    if (X509_STORE_add_crl(store, list.get()) != 1) lists_file->fail("cannot be used: " + openssl_reason());
    ends = std::min(ends, validity_of(list.get()).ends);
  }
  for (const Handle<X509>& authority : authorities)
    if (in_force(authority)) require_list(*lists_file, authority.get(), lists);
  X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  return ends;
}

}  // namespace pelikan::net::tls
