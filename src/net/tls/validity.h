// From when and until when a certificate or a revocation list holds.
#pragma once

#include <cstdint>
#include <limits>

struct x509_st;
struct X509_crl_st;

namespace pelikan::net::tls {

struct Validity {
  static constexpr std::int64_t kForever = std::numeric_limits<std::int64_t>::max();
  std::int64_t begins = 0;  // Unix seconds
  std::int64_t ends = 0;    // the first second at which it does not hold any more

  [[nodiscard]] bool too_early(std::int64_t now) const noexcept { return now < begins; }
  [[nodiscard]] bool over(std::int64_t now) const noexcept { return now >= ends; }
};

// A time that cannot be read makes it begin never, or end at once.
[[nodiscard]] Validity validity_of(const x509_st* certificate);
// Without a next update it holds forever.
[[nodiscard]] Validity validity_of(const X509_crl_st* list);

}  // namespace pelikan::net::tls
