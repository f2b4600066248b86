// Certificates for tests: authorities, what they issue, and lists of what they have revoked, as PEM files in a folder
// that goes away with the Pki.
//
//   Pki pki;
//   const Identity ca = pki.authority({.name = "ca"});
//   const Identity web = pki.issue(ca, {.name = "web", .san = {"DNS:web.example", "URI:spiffe://prod/web"}});
//   options.certificate.set(web.certificate); options.private_key.set(web.key); options.ca_file.set(ca.certificate);
//
// Keys are ECDSA P-256 (fast to make) unless RSA is asked for; all RSA certificates of a process share one key.
// Failure: std::runtime_error.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

struct evp_pkey_st;
struct x509_st;

namespace pelikan::testing {

struct Identity {
  std::string certificate;  // path of a PEM file: this certificate alone
  std::string key;          // path of a PEM file
  std::shared_ptr<x509_st> x509;
  std::shared_ptr<evp_pkey_st> pkey;
};

inline constexpr std::int64_t kDaySec = 86'400;

struct Wanted {
  std::string name;                   // of the files, and the CN unless one is given
  std::string cn = {};                // may hold any bytes
  std::vector<std::string> san = {};  // DNS: URI: IP: EMAIL:, and any bytes; IPRAW: bytes as they are
  std::int64_t begins_sec = -3600;    // from now
  std::int64_t ends_sec = kDaySec;
  bool rsa = false;
  bool no_cn = false;
  std::string usage = {};             // as OpenSSL spells it: "clientAuth"; empty: for everything
  std::string name_constraints = {};  // of an authority: "permitted;DNS:.web.example"
};

struct Lists {
  std::int64_t begins_sec = -3600;
  std::int64_t ends_sec = kDaySec;
};

class Pki {
 public:
  Pki();
  ~Pki();
  Pki(const Pki&) = delete;
  Pki& operator=(const Pki&) = delete;

  [[nodiscard]] const std::string& folder() const noexcept { return folder_; }

  Identity authority(const char* name) { return make({.name = name}, nullptr, true); }
  Identity authority(const Wanted& wanted) { return make(wanted, nullptr, true); }
  Identity intermediate(const Identity& issuer, const Wanted& wanted) { return make(wanted, &issuer, true); }
  Identity issue(const Identity& issuer, const Wanted& wanted) { return make(wanted, &issuer, false); }
  Identity self_signed(const Wanted& wanted) { return make(wanted, nullptr, false); }

  // Each returns the path of a PEM file.
  std::string revocation_list(const std::string& name, const Identity& authority, const std::vector<Identity>& revoked,
                              Lists times = {});
  std::string bundle(const std::string& name, const std::vector<std::string>& files);  // one behind the other
  std::string file(const std::string& name, const std::string& contents);
  std::string encrypted_key(const std::string& name, const Identity& identity, const std::string& password);

 private:
  Identity make(const Wanted& wanted, const Identity* issuer, bool authority);
  [[nodiscard]] std::string path(const std::string& name) const { return folder_ + "/" + name; }

  std::string folder_;
  long serial_ = 1;
};

}  // namespace pelikan::testing
