#include "testing/pki/pki.h"

#include <gtest/gtest.h>
#include <openssl/x509.h>

#include <filesystem>

namespace pelikan::testing {
namespace {

TEST(Pki, IssuesWhatItsAuthoritySigned) {
  Pki pki;
  const Identity ca = pki.authority({.name = "ca"});
  const Identity other = pki.authority({.name = "other"});
  for (const bool rsa : {false, true}) {
    const Identity leaf = pki.issue(ca, {.name = "leaf", .san = {"DNS:a.example", "IP:::1"}, .rsa = rsa});
    EXPECT_EQ(X509_verify(leaf.x509.get(), ca.pkey.get()), 1);
    EXPECT_NE(X509_verify(leaf.x509.get(), other.pkey.get()), 1);
    EXPECT_EQ(X509_check_private_key(leaf.x509.get(), leaf.pkey.get()), 1);
    EXPECT_TRUE(std::filesystem::exists(leaf.certificate));
    EXPECT_TRUE(std::filesystem::exists(leaf.key));
  }
}

TEST(Pki, LeavesNothingBehind) {
  std::string folder;
  {
    Pki pki;
    folder = pki.folder();
    pki.authority({.name = "ca"});
    EXPECT_TRUE(std::filesystem::exists(folder));
  }
  EXPECT_FALSE(std::filesystem::exists(folder));
}

TEST(Pki, SaysWhatItCannotMake) {
  Pki pki;
  EXPECT_THROW(pki.self_signed({.name = "x", .san = {"example.org"}}), std::runtime_error);
  EXPECT_THROW(pki.self_signed({.name = "x", .san = {"IP:10.0.0"}}), std::runtime_error);
}

}  // namespace
}  // namespace pelikan::testing
