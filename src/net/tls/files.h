// PEM files: read whole and once, so that what was checked, what is fingerprinted and what is put in force are the same
// bytes.
// Failure: std::runtime_error with one line: "tls.ca_file: /etc/ca.pem: what is wrong; what to do".
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "net/tls/handles.h"

struct evp_md_ctx_st;

namespace pelikan::net::tls {

inline constexpr std::size_t kPemBytesMax = 16 << 20;

class PemFile {
 public:
  // Reads `path`; `setting` is "tls.ca_file", for messages.
  PemFile(std::string setting, std::string path);
  ~PemFile();  // wipes the contents: they may hold a key
  PemFile(const PemFile&) = delete;
  PemFile& operator=(const PemFile&) = delete;

  [[nodiscard]] std::string_view contents() const noexcept { return contents_; }
  // All of that kind in the file, at least one.
  [[nodiscard]] std::vector<Handle<x509_st>> certificates() const;
  [[nodiscard]] std::vector<Handle<X509_crl_st>> revocation_lists() const;
  [[nodiscard]] Handle<evp_pkey_st> private_key() const;

  [[noreturn]] void fail(const std::string& what) const;

 private:
  [[nodiscard]] Handle<bio_st> open() const;
  template <class T>
  [[nodiscard]] std::vector<Handle<T>> all(T* (*read)(bio_st*, T**, int (*)(char*, int, int, void*), void*),
                                           const char* kind) const;

  std::string setting_;
  std::string path_;
  std::string contents_;
};

// Of a sequence of texts: SHA-256, of which 64 bits are kept. Only whoever owns the files could make two collide.
class Fingerprint {
 public:
  Fingerprint();
  ~Fingerprint();
  Fingerprint(const Fingerprint&) = delete;
  Fingerprint& operator=(const Fingerprint&) = delete;

  void add(std::string_view text);
  [[nodiscard]] std::uint64_t value();  // ends it

 private:
  evp_md_ctx_st* digest_;
};

// Where a change of one of those files shows: their directories and those of the symbolic links on the way; for
// inotify.
[[nodiscard]] std::vector<std::string> directories_of(const std::vector<std::string>& files);

// What OpenSSL says of its last error, and no more of it.
[[nodiscard]] std::string openssl_reason();

}  // namespace pelikan::net::tls
