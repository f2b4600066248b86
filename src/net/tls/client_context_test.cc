// The client's side: how it checks the server, and what the two say when they do not come together.
#include <gtest/gtest.h>

#include <stdexcept>

#include "net/tls/tls_test_kit.h"

namespace pelikan::net::tls {
namespace {

using testing::Identity;
using testing::Pki;

struct Server {
  Server() { set_certificate(options, pki.issue(ca, {.name = "server", .san = {"DNS:localhost", "IP:127.0.0.1"}})); }
  Pki pki;
  Identity ca = pki.authority({.name = "ca"});
  TlsOptions options;
};

// What the ends say when they have nothing in common.
TEST(NoCommonWays, VersionsAndCiphers) {
  Server server;
  const auto cause = [&](const char* version) {
    const auto context = Context::load(server.options);
    const ClientContext client_context(client_options(server.ca, version));
    Connection connection(*context, client_context);
    connection.run();
    EXPECT_EQ(connection.client.cause(), Cause::kPeerAlert) << connection.client.why();
    return name_of(connection.server.cause());
  };
  server.options.min_version.set("1.3");
  EXPECT_EQ(cause("1.2"), "no_common_ways");
  server.options.min_version.set("1.2");
  server.options.ciphers.set("ECDHE-RSA-AES128-GCM-SHA256");  // the key is ECDSA
  EXPECT_EQ(cause("1.2"), "no_common_ways");
}

TEST(ClientContextTest, ChecksTheServer) {
  Server server;
  for (const char* version : {"1.2", "1.3"}) {
    const auto connect = [&](const testing::Identity& ca, const std::string& name) {
      const auto context = Context::load(server.options);
      const ClientContext client_context(client_options(ca, version));
      Connection connection(*context, client_context, false, name);
      connection.run();
      EXPECT_EQ(connection.client.failed(), connection.server.cause() == Cause::kPeerAlert);
      return name_of(connection.client.cause());
    };
    EXPECT_EQ(connect(server.ca, "localhost"), "none");
    EXPECT_EQ(connect(server.ca, "127.0.0.1"), "none");
    EXPECT_EQ(connect(server.ca, "127.0.0.2"), "not_allowed");
    EXPECT_EQ(connect(server.ca, "::1"), "not_allowed");
    EXPECT_EQ(connect(server.ca, "example.org"), "not_allowed");
    EXPECT_EQ(connect(server.pki.authority({.name = "other"}), "localhost"), "unknown_issuer");
  }
}

TEST(ClientContextTest, WithoutAuthoritiesAnythingGoes) {
  Server server;
  const auto context = Context::load(server.options);
  const ClientContext client_context(ClientOptions{});
  Connection connection(*context, client_context, false, "example.org");
  connection.run();
  EXPECT_TRUE(connection.established());
}

TEST(ClientContextTest, WrongFiles) {
  Server server;
  const auto complaint = [](const ClientOptions& options) {
    try {
      const ClientContext context(options, "--");
    } catch (const std::runtime_error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const testing::Identity one = server.pki.issue(server.ca, {.name = "one"});
  const testing::Identity two = server.pki.issue(server.ca, {.name = "two"});
  EXPECT_EQ(complaint({.ca_file = "/no/such"}), "--ca_file: /no/such: cannot be read: No such file or directory");
  EXPECT_NE(complaint({.certificate_file = one.certificate}).find("give both or none"), std::string::npos);
  EXPECT_NE(complaint({.certificate_file = one.certificate, .key_file = two.key}).find("--key_file"),
            std::string::npos);
  EXPECT_NE(complaint({.max_version = "1.1"}).find("1.1"), std::string::npos);
  EXPECT_EQ(complaint({.certificate_file = one.certificate, .key_file = one.key}), "");
}

// Whoever uses a Session out of order would pass the check of certificates.
TEST(SessionDeathTest, DataBeforeTheHandshakeIsOver) {
  Server server;
  const auto context = Context::load(server.options);
  End end(context->accept());
  std::string_view bytes, plain;
  EXPECT_DEATH(static_cast<void>(end.session->receive(bytes, end.scratch, plain, end.wire)), "established");
  EXPECT_DEATH(static_cast<void>(end.session->send("x", end.wire)), "established");
}

}  // namespace
}  // namespace pelikan::net::tls
