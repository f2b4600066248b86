#include "testing/pki/pki.h"

#include <arpa/inet.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <array>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string_view>

namespace pelikan::testing {
namespace {

void require(bool good, const char* what) {
  if (!good) throw std::runtime_error(std::string("test certificates: ") + what);
}

const unsigned char* bytes_of(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }
int size_of(std::string_view text) { return static_cast<int>(text.size()); }

std::shared_ptr<EVP_PKEY> new_key(bool rsa) {
  const auto own = [](EVP_PKEY* key) {
    require(key != nullptr, "no key");
    return std::shared_ptr<EVP_PKEY>(key, EVP_PKEY_free);
  };
  if (!rsa) return own(EVP_EC_gen("P-256"));
  static const std::shared_ptr<EVP_PKEY> the_one = own(EVP_RSA_gen(2048));
  return the_one;
}

void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, void (*)(X509_EXTENSION*)> extension(
      X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()), X509_EXTENSION_free);
  require(extension && X509_add_ext(certificate, extension.get(), -1) == 1, value.c_str());
}

// Built by hand, so that a name may hold anything.
GENERAL_NAME* general_name(std::string_view text) {
  const std::size_t colon = text.find(':');
  require(colon != std::string_view::npos, "a SAN is KIND:value");
  const std::string kind(text.substr(0, colon));
  std::string value(text.substr(colon + 1));
  int type = kind == "DNS" ? GEN_DNS : kind == "URI" ? GEN_URI : kind == "EMAIL" ? GEN_EMAIL : GEN_IPADD;
  require(type != GEN_IPADD || kind.starts_with("IP"), "a SAN is DNS:, URI:, EMAIL:, IP: or IPRAW:");
  if (kind == "IP") {
    std::array<char, 16> address{};
    const bool v4 = inet_pton(AF_INET, value.c_str(), address.data()) == 1;
    require(v4 || inet_pton(AF_INET6, value.c_str(), address.data()) == 1, "a bad address");
    value.assign(address.data(), v4 ? 4 : 16);
  }
  ASN1_STRING* string = ASN1_STRING_type_new(type == GEN_IPADD ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
  require(string != nullptr && ASN1_STRING_set(string, value.data(), size_of(value)) == 1, "no memory");
  GENERAL_NAME* name = GENERAL_NAME_new();
  GENERAL_NAME_set0_value(name, type, string);
  return name;
}

void add_names(X509* certificate, const std::vector<std::string>& san) {
  if (san.empty()) return;
  const std::unique_ptr<GENERAL_NAMES, void (*)(GENERAL_NAMES*)> names(sk_GENERAL_NAME_new_null(), GENERAL_NAMES_free);
  for (const std::string& name : san) sk_GENERAL_NAME_push(names.get(), general_name(name));
  require(X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), 0, X509V3_ADD_DEFAULT) == 1, "SAN");
}

template <class Write>
void write_pem(const std::string& path, Write write) {
  const std::unique_ptr<BIO, int (*)(BIO*)> file(BIO_new_file(path.c_str(), "w"), BIO_free);
  require(file && write(file.get()) == 1, path.c_str());
}

}  // namespace

Pki::Pki() : folder_((std::filesystem::temp_directory_path() / "pelikan-pki-XXXXXX").string()) {
  require(mkdtemp(folder_.data()) != nullptr, "no temporary folder");
}

Pki::~Pki() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

Identity Pki::make(const Wanted& wanted, const Identity* issuer, bool authority) {
  Identity made{path(wanted.name + ".pem"), path(wanted.name + ".key"), {X509_new(), X509_free}, new_key(wanted.rsa)};
  X509* x = made.x509.get();
  X509* by = issuer == nullptr ? x : issuer->x509.get();
  X509_set_version(x, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(x), serial_++);
  X509_set_pubkey(x, made.pkey.get());
  X509_gmtime_adj(X509_getm_notBefore(x), wanted.begins_sec);
  X509_gmtime_adj(X509_getm_notAfter(x), wanted.ends_sec);
  X509_NAME* subject = X509_get_subject_name(x);
  X509_NAME_add_entry_by_NID(subject, NID_organizationName, V_ASN1_UTF8STRING, bytes_of("Pelikan tests"), -1, -1, 0);
  const std::string& cn = wanted.cn.empty() ? wanted.name : wanted.cn;
  if (!wanted.no_cn)
    X509_NAME_add_entry_by_NID(subject, NID_commonName, V_ASN1_UTF8STRING, bytes_of(cn), size_of(cn), -1, 0);
  X509_set_issuer_name(x, X509_get_subject_name(by));
  add_extension(x, by, NID_basic_constraints, authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
  add_extension(x, by, NID_subject_key_identifier, "hash");
  if (authority) add_extension(x, by, NID_key_usage, "critical,keyCertSign,cRLSign");
  if (!wanted.usage.empty()) add_extension(x, by, NID_ext_key_usage, wanted.usage);
  if (!wanted.name_constraints.empty()) add_extension(x, by, NID_name_constraints, wanted.name_constraints);
  add_names(x, wanted.san);
  require(X509_sign(x, (issuer == nullptr ? made : *issuer).pkey.get(), EVP_sha256()) > 0, "cannot sign");
  write_pem(made.certificate, [&](BIO* file) { return PEM_write_bio_X509(file, x); });
  write_pem(made.key, [&](BIO* file) {
    return PEM_write_bio_PrivateKey(file, made.pkey.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
  return made;
}

std::string Pki::revocation_list(const std::string& name, const Identity& authority,
                                 const std::vector<Identity>& revoked, Lists times) {
  const std::unique_ptr<X509_CRL, void (*)(X509_CRL*)> list(X509_CRL_new(), X509_CRL_free);
  X509_CRL_set_version(list.get(), X509_CRL_VERSION_2);
  X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(authority.x509.get()));
  const std::unique_ptr<ASN1_TIME, void (*)(ASN1_TIME*)> time(X509_gmtime_adj(nullptr, times.begins_sec),
                                                              ASN1_TIME_free);
  X509_CRL_set1_lastUpdate(list.get(), time.get());
  for (const Identity& identity : revoked) {
    X509_REVOKED* entry = X509_REVOKED_new();
    X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(identity.x509.get()));
    X509_REVOKED_set_revocationDate(entry, time.get());
    X509_CRL_add0_revoked(list.get(), entry);
  }
  X509_gmtime_adj(time.get(), times.ends_sec);
  X509_CRL_set1_nextUpdate(list.get(), time.get());
  X509_CRL_sort(list.get());
  require(X509_CRL_sign(list.get(), authority.pkey.get(), EVP_sha256()) > 0, "cannot sign");
  write_pem(path(name), [&](BIO* file) { return PEM_write_bio_X509_CRL(file, list.get()); });
  return path(name);
}

std::string Pki::bundle(const std::string& name, const std::vector<std::string>& files) {
  std::string all;
  for (const std::string& one : files) {
    std::ifstream in(one, std::ios::binary);
    all.append(std::istreambuf_iterator<char>(in), {});
  }
  return file(name, all);
}

std::string Pki::file(const std::string& name, const std::string& contents) {
  std::ofstream(path(name), std::ios::binary) << contents;
  return path(name);
}

std::string Pki::encrypted_key(const std::string& name, const Identity& identity, const std::string& password) {
  write_pem(path(name), [&](BIO* file) {
    return PEM_write_bio_PKCS8PrivateKey(file, identity.pkey.get(), EVP_aes_256_cbc(), password.data(),
                                         size_of(password), nullptr, nullptr);
  });
  return path(name);
}

}  // namespace pelikan::testing
