// Handshakes of every version and key, and the data after them.
#include <gtest/gtest.h>

#include "net/tls/tls_test_kit.h"

namespace pelikan::net::tls {
namespace {

using testing::Identity;
using testing::Pki;

struct Way {
  const char* version;
  bool rsa;
  bool mutual;
};

class EveryWay : public ::testing::TestWithParam<Way> {
 protected:
  EveryWay() {
    set_certificate(options_, pki_.issue(ca_, {.name = "server", .san = {"DNS:localhost"}, .rsa = GetParam().rsa}));
    client_options_ = client_options(ca_, GetParam().version);
    if (!GetParam().mutual) return;
    const Identity web = pki_.issue(ca_, {.name = "web", .san = {"URI:spiffe://prod/web"}, .rsa = GetParam().rsa});
    options_.ca_file.set(ca_.certificate);
    client_options_.certificate_file = web.certificate;
    client_options_.key_file = web.key;
  }

  Pki pki_;
  Identity ca_ = pki_.authority({.name = "ca"});
  TlsOptions options_;
  ClientOptions client_options_;
};

TEST_P(EveryWay, RequestAndReply) {
  const auto context = Context::load(options_);
  const ClientContext client_context(client_options_);
  Connection connection(*context, client_context);
  connection.run();
  ASSERT_TRUE(connection.established()) << connection.server.why() << connection.client.why();
  EXPECT_EQ(context->requires_client_certificate(), GetParam().mutual);
  EXPECT_EQ(connection.server.session->peer(), GetParam().mutual ? "URI:spiffe://prod/web" : "");
  EXPECT_EQ(connection.client.session->peer(), "DNS:localhost");
  EXPECT_EQ(connection.server.session->version(), std::string("TLSv") + GetParam().version);
  ASSERT_TRUE(connection.client.session->send("get a\r\n", connection.client.wire));
  connection.run();
  EXPECT_EQ(connection.server.received, "get a\r\n");
  ASSERT_TRUE(connection.server.session->send("END\r\n", connection.server.wire));
  connection.run();
  EXPECT_EQ(connection.client.received, "END\r\n");
}

INSTANTIATE_TEST_SUITE_P(, EveryWay,
                         ::testing::Values(Way{"1.2", false, false}, Way{"1.2", false, true}, Way{"1.2", true, false},
                                           Way{"1.2", true, true}, Way{"1.3", false, false}, Way{"1.3", false, true},
                                           Way{"1.3", true, false}, Way{"1.3", true, true}),
                         [](const auto& way) {
                           return std::string(way.param.version[2] == '2' ? "v12" : "v13") +
                                  (way.param.rsa ? "_rsa" : "_ecdsa") + (way.param.mutual ? "_mutual" : "");
                         });

}  // namespace
}  // namespace pelikan::net::tls
