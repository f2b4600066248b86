// Settings and files: what is accepted, and that each wrong one is refused with a line that says where and what.
#include "net/tls/context.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <functional>
#include <stdexcept>
#include <vector>

#include "net/tls/tls_test_kit.h"

namespace pelikan::net::tls {
namespace {

using testing::Identity;
using testing::kDaySec;
using testing::Pki;

class ContextTest : public ::testing::Test {
 protected:
  void SetUp() override { set_certificate(options_, server_); }
  // What load() complains of; empty: nothing.
  [[nodiscard]] std::string complaint() const {
    try {
      static_cast<void>(Context::load(options_));
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "";
  }
  void expect_complaint(const std::vector<std::string>& words) const {
    const std::string text = complaint();
    EXPECT_NE(text, "");
    for (const std::string& word : words) EXPECT_NE(text.find(word), std::string::npos) << word << " in: " << text;
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
  }
  // The certificates that a client is shown.
  [[nodiscard]] std::size_t certificates_sent() const {
    const auto context = Context::load(options_);
    STACK_OF(X509)* issuers = nullptr;
    SSL_CTX_get0_chain_certs(context->native(), static_cast<void*>(&issuers));
    return 1 + static_cast<std::size_t>(std::max(0, sk_X509_num(issuers)));
  }

  Pki pki_;
  Identity ca_ = pki_.authority({.name = "ca"});
  Identity middle_ = pki_.intermediate(ca_, {.name = "middle"});
  Identity server_ = pki_.issue(middle_, {.name = "server", .san = {"DNS:localhost"}});
  TlsOptions options_;
};

TEST_F(ContextTest, ChainsOfEveryForm) {
  EXPECT_EQ(certificates_sent(), 1u);
  options_.certificate_chain.set(middle_.certificate);
  EXPECT_EQ(certificates_sent(), 2u);
  options_.certificate_chain.set(pki_.bundle("issuers", {middle_.certificate, ca_.certificate}));
  EXPECT_EQ(certificates_sent(), 3u);
  const std::string whole = pki_.bundle("whole", {server_.certificate, middle_.certificate});
  options_.certificate_chain.set(whole);  // the leaf again: once is enough
  EXPECT_EQ(certificates_sent(), 2u);
  options_.certificate.set("");
  EXPECT_EQ(certificates_sent(), 2u);
  options_.certificate.set(whole);
  options_.certificate_chain.set("");
  EXPECT_EQ(certificates_sent(), 2u);
  // The key may stand in the same file.
  options_.certificate.set(pki_.bundle("all", {server_.key, server_.certificate, middle_.certificate}));
  options_.private_key.set(options_.certificate());
  EXPECT_EQ(certificates_sent(), 2u);
}

TEST_F(ContextTest, IssuersAreSentAsConfiguredOnly) {
  options_.ca_file.set(pki_.bundle("cas", {ca_.certificate, middle_.certificate}));
  const auto context = Context::load(options_);
  const Identity web = pki_.issue(ca_, {.name = "web"});
  ClientOptions client_options;
  client_options.certificate_file = web.certificate;
  client_options.key_file = web.key;
  client_options.ca_file = ca_.certificate;
  const ClientContext client_context(client_options);
  Connection connection(*context, client_context);
  connection.run();
  EXPECT_EQ(name_of(connection.client.cause()), "unknown_issuer");  // `middle` was not sent
}

TEST_F(ContextTest, KeysThatNeedOthers) {
  const auto only = [](const std::function<void(TlsOptions&)>& set) {
    TlsOptions options;
    set(options);
    try {
      static_cast<void>(Context::load(options));
      options.check();
    } catch (const std::runtime_error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const std::string needs_certificate =
      "tls.certificate_chain: other keys of this section are set, so a certificate is needed too (or none of them)";
  EXPECT_EQ(only([](TlsOptions& o) { o.private_key.set("k"); }), needs_certificate);
  EXPECT_EQ(only([](TlsOptions& o) { o.ca_file.set("c"); }), needs_certificate);
  EXPECT_EQ(only([](TlsOptions& o) { o.crl_file.set("c"); }), needs_certificate);
  EXPECT_EQ(only([](TlsOptions& o) { o.allow.set({"CN:x"}); }), needs_certificate);
  EXPECT_EQ(only([](TlsOptions& o) { o.min_version.set("1.3"); }), needs_certificate);
  EXPECT_EQ(only([](TlsOptions& o) { o.ciphers.set("HIGH"); }), needs_certificate);
  EXPECT_EQ(only([](TlsOptions& o) { o.ticket_rotation.set(config::Duration{1}); }), needs_certificate);
  EXPECT_EQ(only([](TlsOptions& o) { o.certificate.set("c"); }),
            "tls.private_key: a certificate is set, so its private key is needed too");
  EXPECT_EQ(only([](TlsOptions& o) { o.certificate_chain.set("c"); }),
            "tls.private_key: a certificate is set, so its private key is needed too");
  options_.crl_file.set("/no/such");
  expect_complaint({"tls.crl_file: has no effect without ca_file"});
  options_.crl_file.set("");
  options_.allow.set({"CN:x"});
  expect_complaint({"tls.allow: has no effect without ca_file"});
}

TEST_F(ContextTest, NothingSetIsNoTls) {
  TlsOptions options;
  options.check();
  EXPECT_FALSE(options.any_set());
  options.min_version.set("1.2");  // as --print-config writes it
  EXPECT_FALSE(options.any_set());
  EXPECT_TRUE(options_.any_set());
}

TEST_F(ContextTest, SectionIsNamed) {
  TlsOptions options("admin_tls");
  options.private_key.set("k");
  EXPECT_THROW(options.check(), config::Error);
  set_certificate(options, server_);
  options.certificate.set("/no/such");
  try {
    static_cast<void>(Context::load(options));
    FAIL();
  } catch (const std::runtime_error& error) {
    EXPECT_EQ(std::string(error.what()), "admin_tls.certificate: /no/such: cannot be read: No such file or directory");
  }
}

TEST_F(ContextTest, UnreadableFiles) {
  const std::string junk = pki_.file("junk", "no certificate\n");
  const std::string damaged = pki_.file("damaged", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  const std::string half = pki_.bundle("half", {server_.certificate, damaged});
  options_.certificate.set(junk);
  expect_complaint({"tls.certificate: ", junk, "holds no certificate in PEM form"});
  options_.certificate.set(pki_.file("empty", ""));
  expect_complaint({"tls.certificate: ", "holds no certificate in PEM form"});
  options_.certificate.set(half);
  expect_complaint({"tls.certificate: ", "certificate number 2 is damaged"});
  options_.certificate.set(pki_.folder());
  expect_complaint({"tls.certificate: ", pki_.folder(), "is no regular file"});
  options_.certificate.set("/dev/null");
  expect_complaint({"tls.certificate: /dev/null: is no regular file"});
  options_.certificate.set("/no\nsuch");
  expect_complaint({"tls.certificate: /no?such: cannot be read"});
  options_.certificate.set(server_.certificate);
  options_.private_key.set(server_.certificate);
  expect_complaint({"tls.private_key: ", server_.certificate, "holds no private key in PEM form"});
  options_.private_key.set(pki_.encrypted_key("locked", server_, "secret"));
  expect_complaint({"tls.private_key: ", "locked", "the key is encrypted", "`openssl pkey`"});
  options_.private_key.set(server_.key);
  options_.certificate_chain.set("/no/such");
  expect_complaint({"tls.certificate_chain: /no/such: cannot be read"});
  options_.certificate_chain.set("");
  options_.ca_file.set(junk);
  expect_complaint({"tls.ca_file: ", junk, "holds no certificate"});
  options_.ca_file.set("/no/such");
  expect_complaint({"tls.ca_file: /no/such: cannot be read"});
  options_.ca_file.set(ca_.certificate);
  options_.crl_file.set(junk);
  expect_complaint({"tls.crl_file: ", junk, "holds no revocation list"});
  options_.crl_file.set("/no/such");
  expect_complaint({"tls.crl_file: /no/such: cannot be read"});
}

TEST_F(ContextTest, CertificatesThatDoNotServe) {
  const Identity other = pki_.issue(middle_, {.name = "other"});
  options_.private_key.set(other.key);
  expect_complaint({"tls.private_key: ", other.key, "is not the key of the certificate of DNS:localhost"});
  set_certificate(options_, pki_.issue(ca_, {.name = "late", .begins_sec = -kDaySec, .ends_sec = -60}));
  expect_complaint({"tls.certificate: ", "late.pem", "CN:late has expired"});
  set_certificate(options_, pki_.issue(ca_, {.name = "early", .begins_sec = 60}));
  expect_complaint({"tls.certificate: ", "early.pem", "CN:early is not valid yet"});
  set_certificate(options_, server_);
  options_.certificate_chain.set(ca_.certificate);  // `middle` is missing
  expect_complaint({"tls.certificate_chain: ", "CN:ca did not issue DNS:localhost"});
  options_.certificate_chain.set(pki_.bundle("order", {ca_.certificate, middle_.certificate}));
  expect_complaint({"tls.certificate_chain: ", "did not issue"});
  const Identity old = pki_.intermediate(ca_, {.name = "old", .begins_sec = -kDaySec, .ends_sec = -60});
  set_certificate(options_, pki_.issue(old, {.name = "by-old"}));
  options_.certificate_chain.set(old.certificate);
  expect_complaint({"tls.certificate_chain: ", "CN:old has expired"});
}

TEST_F(ContextTest, Authorities) {
  const Identity late = pki_.authority({.name = "late", .begins_sec = -kDaySec, .ends_sec = -60});
  options_.ca_file.set(server_.certificate);
  expect_complaint({"tls.ca_file: ", "DNS:localhost is no authority"});
  options_.ca_file.set(middle_.certificate);
  expect_complaint({"tls.ca_file: ", "CN:middle is an intermediate authority whose issuer is missing"});
  options_.ca_file.set(late.certificate);
  expect_complaint({"tls.ca_file: ", "all authorities in it have expired"});
  options_.ca_file.set(pki_.bundle("both", {late.certificate, ca_.certificate}));
  EXPECT_EQ(complaint(), "");
  options_.crl_file.set(pki_.revocation_list("crl", ca_, {}));  // `late` needs none any more
  EXPECT_EQ(complaint(), "");
}

TEST_F(ContextTest, RevocationLists) {
  options_.ca_file.set(pki_.bundle("cas", {ca_.certificate, middle_.certificate}));
  const std::string of_ca = pki_.revocation_list("of-ca", ca_, {});
  const std::string of_middle = pki_.revocation_list("of-middle", middle_, {});
  options_.crl_file.set(pki_.bundle("lists", {of_ca, of_middle}));
  EXPECT_EQ(complaint(), "");
  options_.crl_file.set(of_ca);
  expect_complaint({"tls.crl_file: ", "has no list of CN:middle"});
  const Identity stranger = pki_.authority({.name = "stranger"}), twin = pki_.authority({.name = "twin", .cn = "ca"});
  const auto with = [&](const std::string& list) { options_.crl_file.set(pki_.bundle("x", {of_ca, of_middle, list})); };
  with(pki_.revocation_list("foreign", stranger, {}));
  expect_complaint({"tls.crl_file: ", "SUBJECT:/O=Pelikan tests/CN=stranger", "signed by none of the authorities"});
  with(pki_.revocation_list("forged", twin, {}));
  expect_complaint({"tls.crl_file: ", "CN=ca", "signed by none of the authorities"});
  with(pki_.revocation_list("late", ca_, {}, {.begins_sec = -kDaySec, .ends_sec = -60}));
  expect_complaint({"tls.crl_file: ", "CN=ca", "is out of date"});
  with(pki_.revocation_list("early", ca_, {}, {.begins_sec = 60}));
  expect_complaint({"tls.crl_file: ", "CN=ca", "is not valid yet"});
  with(pki_.file("damaged", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"));
  expect_complaint({"tls.crl_file: ", "revocation list number 3 is damaged"});
}

TEST_F(ContextTest, Patterns) {
  options_.ca_file.set(ca_.certificate);
  for (const char* pattern : {"web", "HOST:web", "DNS", "DNS:", ":x", "", "*"}) {
    options_.allow.set({"CN:good", pattern});
    expect_complaint({"tls.allow: \"", pattern});
  }
  options_.allow.set({"CN:" + std::string(300, 'x')});
  expect_complaint({"tls.allow: ", "longer than 256 bytes"});
  options_.allow.set(config::List(2000, "CN:x"));
  expect_complaint({"tls.allow: has more than 1024 patterns"});
  options_.allow.set({"CN:x", "dns:*.y", "Uri:z", "IP:::1", "email:a@b"});
  EXPECT_EQ(complaint(), "");
}

TEST_F(ContextTest, Ciphers) {
  options_.ciphers.set("NO-SUCH");
  expect_complaint({"tls.ciphers: NO-SUCH: no cipher of OpenSSL fits"});
  options_.ciphers.set("ECDHE+AESGCM");
  EXPECT_EQ(complaint(), "");
  // With these, clients would not be asked for a certificate, or everybody could read along.
  for (const char* open : {"AECDH-AES128-SHA:@SECLEVEL=0", "ALL:aNULL:@SECLEVEL=0", "eNULL:@SECLEVEL=0"}) {
    options_.ciphers.set(open);
    expect_complaint({"tls.ciphers: ", "does not authenticate or encrypt"});
  }
  options_.ciphers.set("");
  options_.ciphersuites.set("NO-SUCH");
  expect_complaint({"tls.ciphersuites: NO-SUCH: unknown"});
  options_.ciphersuites.set("TLS_CHACHA20_POLY1305_SHA256");
  const auto context = Context::load(options_);
  const ClientContext client_context(ClientOptions{});
  Connection connection(*context, client_context);
  connection.run();
  EXPECT_EQ(connection.server.session->cipher(), std::string("TLS_CHACHA20_POLY1305_SHA256"));
}

TEST_F(ContextTest, DefaultsPreferFastAndForwardSecret) {
  const auto context = Context::load(options_);
  for (const auto& [version, cipher] :
       {std::pair{"1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"}, {"1.3", "TLS_AES_128_GCM_SHA256"}}) {
    ClientOptions client_options;
    client_options.min_version = client_options.max_version = version;
    const ClientContext client_context(client_options);
    Connection connection(*context, client_context);
    connection.run();
    EXPECT_EQ(connection.server.session->cipher(), std::string(cipher));
  }
}

TEST_F(ContextTest, Fingerprints) {
  const auto fingerprints = [this] {
    const auto context = Context::load(options_);
    return std::pair(context->fingerprint(), context->trust_fingerprint());
  };
  auto last = fingerprints();
  EXPECT_EQ(fingerprints(), last);
  const auto expect_change = [&](bool trust_too) {
    const auto now = fingerprints();
    EXPECT_NE(now.first, last.first);
    EXPECT_EQ(now.second != last.second, trust_too);
    last = now;
  };
  options_.certificate_chain.set(middle_.certificate);
  expect_change(false);
  options_.min_version.set("1.3");
  expect_change(false);
  options_.ciphers.set("ECDHE+AESGCM");
  expect_change(false);
  options_.ca_file.set(ca_.certificate);
  expect_change(true);
  options_.crl_file.set(pki_.revocation_list("crl", ca_, {}));
  expect_change(true);
  options_.allow.set({"CN:a", "CN:b"});
  expect_change(true);
  options_.allow.set({"CN:aCN:b"});
  expect_change(true);
  set_certificate(options_, pki_.issue(middle_, {.name = "next"}));
  expect_change(false);
}

TEST_F(ContextTest, TellsWhenItEnds) {
  options_.ca_file.set(ca_.certificate);
  const std::int64_t now = Context::system_clock().now().unix_sec;
  EXPECT_NEAR(static_cast<double>(Context::load(options_)->not_after() - now), kDaySec, 30);
  EXPECT_EQ(Context::load(options_)->lists_end(), 0);
  options_.crl_file.set(pki_.revocation_list("crl", ca_, {}, {.ends_sec = 1000}));
  EXPECT_NEAR(static_cast<double>(Context::load(options_)->lists_end() - now), 1000, 30);
}

// A reload lets go of a Context while sessions that began with it are still at their handshake.
TEST_F(ContextTest, SessionsOutliveIt) {
  options_.ca_file.set(ca_.certificate);
  options_.allow.set({"CN:web"});
  for (const auto& [name, cause] : {std::pair{"web", Cause::kNone}, {"db", Cause::kNotAllowed}}) {
    const Identity identity = pki_.issue(ca_, {.name = name});
    ClientOptions client_options;
    client_options.certificate_file = identity.certificate;
    client_options.key_file = identity.key;
    const ClientContext client_context(client_options);
    auto context = Context::load(options_);
    Connection connection(*context, client_context);
    context.reset();
    connection.run();
    EXPECT_EQ(name_of(connection.server.cause()), name_of(cause));
    EXPECT_EQ(connection.established(), cause == Cause::kNone);
  }
}

}  // namespace
}  // namespace pelikan::net::tls
