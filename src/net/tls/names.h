// The names in a certificate: what an allow-list is matched with, and what the log calls a client.
//
// A name comes from whoever made the certificate. One with a NUL or another control character in it, in the wrong
// encoding or longer than kNameBytesMax is not in the list: so it can match nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

struct X509_name_st;
struct x509_st;

namespace pelikan::net::tls {

enum class NameKind : std::uint8_t { kUri, kDns, kEmail, kIp, kCn };
inline constexpr NameKind kNameKinds[] = {NameKind::kUri, NameKind::kDns, NameKind::kEmail, NameKind::kIp,
                                          NameKind::kCn};
[[nodiscard]] std::string_view prefix_of(NameKind kind) noexcept;  // "URI"

struct Name {
  NameKind kind;
  std::string text;
};

inline constexpr std::size_t kNameBytesMax = 1024;
inline constexpr std::size_t kShownBytesMax = 200;

// The subject alternative names, then the CNs of the subject.
[[nodiscard]] std::vector<Name> names_in(const x509_st* certificate);

// With its kind, fit for a line of text: "URI:spiffe://prod/web".
[[nodiscard]] std::string shown(const Name& name);
// What to call its owner: its first URI, DNS, e-mail, IP, CN; else "SUBJECT:" and the whole subject. Never empty.
[[nodiscard]] std::string name_shown(const x509_st* certificate);
// "SUBJECT:" and all of it.
[[nodiscard]] std::string name_shown(const X509_name_st* subject);
// Control characters as '?', and cut at kShownBytesMax.
[[nodiscard]] std::string clean(std::string_view text);

}  // namespace pelikan::net::tls
