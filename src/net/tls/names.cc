#include "net/tls/names.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "config/value.h"

namespace pelikan::net::tls {
namespace {

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

// U+0080 to U+009F: control characters too, and some terminals obey them.
bool has_late_controls(std::string_view text) {
  for (std::size_t i = 0; i + 1 < text.size(); ++i)
    if (text[i] == '\xC2' && static_cast<unsigned char>(text[i + 1]) < 0xA0) return true;
  return false;
}

std::string_view bytes_of(const ASN1_STRING* string) {
  const int length = ASN1_STRING_length(string);
  if (length <= 0) return {};
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(string)), static_cast<std::size_t>(length)};
}

// IA5String: ASCII, whatever the certificate has put there.
std::optional<std::string> ascii(const ASN1_STRING* string) {
  const std::string_view text = bytes_of(string);
  const auto printable = [](char c) { return c >= 0x20 && c < 0x7f; };
  if (text.empty() || text.size() > kNameBytesMax || !std::ranges::all_of(text, printable)) return std::nullopt;
  return std::string(text);
}

std::optional<std::string> utf8(const ASN1_STRING* string) {
  unsigned char* converted = nullptr;
  const int length = ASN1_STRING_to_UTF8(&converted, string);
  const std::unique_ptr<unsigned char, void (*)(unsigned char*)> owner(converted,
                                                                       [](unsigned char* p) { OPENSSL_free(p); });
  if (length <= 0 || static_cast<std::size_t>(length) > kNameBytesMax) return std::nullopt;
  const std::string_view text(reinterpret_cast<const char*>(converted), static_cast<std::size_t>(length));
  if (std::ranges::any_of(text, is_control) || !config::valid_utf8(text) || has_late_controls(text))
    return std::nullopt;
  return std::string(text);
}

std::optional<std::string> address(const ASN1_STRING* string) {
  const std::string_view bytes = bytes_of(string);
  char text[INET6_ADDRSTRLEN];
  const int family = bytes.size() == 4 ? AF_INET : AF_INET6;
  if ((bytes.size() != 4 && bytes.size() != 16) || inet_ntop(family, bytes.data(), text, sizeof text) == nullptr)
    return std::nullopt;
  return std::string(text);
}

std::optional<Name> to_name(const GENERAL_NAME* general) {
  int type = 0;
  const auto* string = static_cast<const ASN1_STRING*>(GENERAL_NAME_get0_value(general, &type));
  const auto named = [](NameKind kind, std::optional<std::string> text) {
    return text ? std::optional<Name>({kind, std::move(*text)}) : std::nullopt;
  };
  switch (type) {
    case GEN_URI: return named(NameKind::kUri, ascii(string));
    case GEN_DNS: return named(NameKind::kDns, ascii(string));
    case GEN_EMAIL: return named(NameKind::kEmail, ascii(string));
    case GEN_IPADD: return named(NameKind::kIp, address(string));
    default: return std::nullopt;  // a directory name and the like
  }
}

void add_common_names(const X509* certificate, std::vector<Name>& names) {
  const X509_NAME* subject = X509_get_subject_name(certificate);
  for (int at = -1; (at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0;) {
    const X509_NAME_ENTRY* entry = X509_NAME_get_entry(subject, at);
    if (auto text = utf8(X509_NAME_ENTRY_get_data(entry))) names.push_back({NameKind::kCn, std::move(*text)});
  }
}

}  // namespace

std::string_view prefix_of(NameKind kind) noexcept {
  switch (kind) {
    case NameKind::kUri: return "URI";
    case NameKind::kDns: return "DNS";
    case NameKind::kEmail: return "EMAIL";
    case NameKind::kIp: return "IP";
    case NameKind::kCn: return "CN";
  }
  return "";
}

std::vector<Name> names_in(const X509* certificate) {
  std::vector<Name> names;
  const std::unique_ptr<GENERAL_NAMES, void (*)(GENERAL_NAMES*)> alternatives(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)),
      GENERAL_NAMES_free);
  for (int i = 0; i < sk_GENERAL_NAME_num(alternatives.get()); ++i)
    if (auto name = to_name(sk_GENERAL_NAME_value(alternatives.get(), i))) names.push_back(std::move(*name));
  add_common_names(certificate, names);
  return names;
}

std::string clean(std::string_view text) {
  std::string out(text.substr(0, kShownBytesMax));
  const bool ascii_only = !config::valid_utf8(out) || has_late_controls(out);
  for (char& c : out)
    if (is_control(c) || (ascii_only && static_cast<unsigned char>(c) >= 0x80)) c = '?';
  if (text.size() > kShownBytesMax) out += "...";
  return out;
}

std::string shown(const Name& name) { return std::string(prefix_of(name.kind)) + ":" + clean(name.text); }

std::string name_shown(const X509* certificate) {
  const std::vector<Name> names = names_in(certificate);
  for (const NameKind kind : kNameKinds)
    for (const Name& name : names)
      if (name.kind == kind) return shown(name);
  return name_shown(X509_get_subject_name(certificate));
}

std::string name_shown(const X509_NAME* subject) {
  char text[2 * kShownBytesMax];
  return "SUBJECT:" + clean(X509_NAME_oneline(subject, text, sizeof text) == nullptr ? "" : text);
}

}  // namespace pelikan::net::tls
