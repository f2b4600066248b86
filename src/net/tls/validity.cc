#include "net/tls/validity.h"

#include <openssl/x509.h>

#include <ctime>

namespace pelikan::net::tls {
namespace {

std::int64_t unix_time(const ASN1_TIME* time, std::int64_t otherwise) {
  std::tm parts{};
  return time != nullptr && ASN1_TIME_to_tm(time, &parts) == 1 ? timegm(&parts) : otherwise;
}

}  // namespace

Validity validity_of(const X509* certificate) {
  return {unix_time(X509_get0_notBefore(certificate), Validity::kForever),
          unix_time(X509_get0_notAfter(certificate), 0)};
}

Validity validity_of(const X509_CRL* list) {
  const ASN1_TIME* next = X509_CRL_get0_nextUpdate(list);
  return {unix_time(X509_CRL_get0_lastUpdate(list), Validity::kForever),
          next == nullptr ? Validity::kForever : unix_time(next, 0)};
}

}  // namespace pelikan::net::tls
