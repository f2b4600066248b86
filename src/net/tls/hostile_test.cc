// What a hostile or broken peer sends: plain text, garbage, damaged and repeated records. Seeds are printed;
// PELIKAN_TEST_SEED repeats one.
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "net/tls/tls_test_kit.h"

namespace pelikan::net::tls {
namespace {

using testing::Identity;
using testing::Pki;

struct Server {
  explicit Server(bool mutual = false) {
    set_certificate(options, pki.issue(ca, {.name = "server", .san = {"DNS:localhost"}}));
    if (mutual) options.ca_file.set(ca.certificate);
    context = Context::load(options);
  }
  Pki pki;
  Identity ca = pki.authority({.name = "ca"});
  TlsOptions options;
  std::shared_ptr<const Context> context;
};

unsigned seed() {
  const char* text = std::getenv("PELIKAN_TEST_SEED");
  const unsigned value =
      text == nullptr ? std::random_device{}() : static_cast<unsigned>(std::strtoul(text, nullptr, 10));
  std::printf("PELIKAN_TEST_SEED=%u\n", value);
  return value;
}

TEST(Hostile, PlainText) {
  Server server;
  const std::string texts[] = {"get a\r\n",
                               "GET / HTTP/1.1\r\n\r\n",
                               "PING\r\n",
                               "*1\r\n$4\r\nPING\r\n",
                               "\r\n",
                               std::string("\x80\x0a\x00\x00", 4),
                               std::string(100, '\0'),
                               "\x16 is no record",
                               "\x15\x03\x03",
                               "\x17\x03\x03",
                               "\x16\x02\x03",
                               "\xff"};
  for (const std::string& text : texts) {
    for (const std::size_t step : {text.size(), std::size_t{1}}) {
      End end(server.context->accept());
      for (std::size_t at = 0; at < text.size(); at += step) end.feed(std::string_view(text).substr(at, step));
      EXPECT_EQ(name_of(end.cause()), name_of(Cause::kPlainText)) << text;
      EXPECT_EQ(end.why(), "the client speaks no TLS: its first bytes are no TLS record");
      EXPECT_TRUE(end.wire.empty());  // it would not understand an alert
    }
  }
}

TEST(Hostile, PlainServer) {
  Server server;
  const ClientContext client_context(client_options(server.ca, "1.3"));
  End end(client_context.connect("localhost", false));
  end.feed({});
  EXPECT_FALSE(end.wire.empty());
  end.feed("ERROR\r\n");
  EXPECT_EQ(name_of(end.cause()), name_of(Cause::kPlainText));
}

// A record header and then noise; hellos of all kinds of wrong length.
TEST(Hostile, NoiseBehindAHeader) {
  Server server;
  std::mt19937 random(seed());
  for (int i = 0; i < 3000; ++i) {
    std::string bytes = "\x16\x03";
    const std::size_t size = random() % 600;
    for (std::size_t k = 0; k < size; ++k) bytes += static_cast<char>(random());
    if (i % 2 == 0 && bytes.size() > 9) {  // a whole record with a ClientHello of whatever length
      bytes[2] = 1;
      bytes[3] = static_cast<char>((bytes.size() - 5) >> 8);
      bytes[4] = static_cast<char>(bytes.size() - 5);
      bytes[5] = 1;
      if (i % 4 == 0) bytes[6] = bytes[7] = 0;
    }
    End end(server.context->accept());
    end.feed(bytes);
    end.feed(std::string(20'000, 'x'));
    EXPECT_TRUE(end.failed());
    EXPECT_FALSE(end.established);
    EXPECT_NE(end.cause(), Cause::kNone);
    EXPECT_NE(end.why(), "");
  }
}

// One bit of the client's part of a handshake is turned over: nobody comes in by that. (Of the version in a record's
// header TLS 1.3 says that it is to be ignored.)
TEST(Hostile, DamagedHandshake) {
  Server server(true);
  std::mt19937 random(seed());
  const Identity web = server.pki.issue(server.ca, {.name = "web"});
  for (const char* version : {"1.2", "1.3"}) {
    ClientOptions options = client_options(server.ca, version);
    options.certificate_file = web.certificate;
    options.key_file = web.key;
    const ClientContext client_context(options);
    int refused = 0;
    for (int i = 0; i < 400; ++i) {
      Connection connection(*server.context, client_context);
      connection.client.feed({});
      const bool in_hello = i % 2 == 0;
      for (bool hello = true;; hello = false) {
        std::string to_server = connection.client.take();
        if (hello == in_hello && !to_server.empty()) {
          const std::size_t bit = random() % (to_server.size() * 8);
          to_server[bit / 8] = static_cast<char>(to_server[bit / 8] ^ 1 << bit % 8);
        }
        connection.server.feed(to_server);
        const std::string to_client = connection.server.take();
        if (to_client.empty()) break;
        connection.client.feed(to_client);
      }
      refused += connection.server.failed() ? 1 : 0;
      EXPECT_EQ(connection.server.failed(), connection.server.cause() != Cause::kNone);
      if (connection.server.established) {
        EXPECT_EQ(connection.server.session->peer(), "CN:web");
      }
    }
    EXPECT_GT(refused, 200);
  }
}

TEST(Hostile, DamagedRecords) {
  Server server;
  std::mt19937 random(seed());
  for (const char* version : {"1.2", "1.3"}) {
    const ClientContext client_context(client_options(server.ca, version));
    for (int i = 0; i < 200; ++i) {
      Connection connection(*server.context, client_context);
      connection.run();
      ASSERT_TRUE(connection.established());
      ASSERT_TRUE(connection.client.session->send("set a 0 0 1\r\na\r\n", connection.client.wire));
      std::string bytes = connection.client.take();
      const std::size_t bit = random() % (bytes.size() * 8);
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ 1 << bit % 8);
      connection.server.feed(bytes + std::string(20'000, 'x'));
      EXPECT_EQ(name_of(connection.server.cause()), name_of(Cause::kProtocol)) << bit;
      EXPECT_EQ(connection.server.received, "");
    }
  }
}

TEST(Hostile, RepeatedDroppedAndSwappedRecords) {
  Server server;
  for (const char* version : {"1.2", "1.3"}) {
    const ClientContext client_context(client_options(server.ca, version));
    for (const std::vector<int>& order : {std::vector{0, 0}, {1}, {1, 0}, {0, 1, 0}, {0, 2}}) {
      Connection connection(*server.context, client_context);
      connection.run();
      std::vector<std::string> records;
      for (const char* text : {"one", "two", "three"}) {
        ASSERT_TRUE(connection.client.session->send(text, connection.client.wire));
        records.push_back(connection.client.take());
      }
      for (const int i : order) {
        if (!connection.server.failed()) connection.server.feed(records[static_cast<std::size_t>(i)]);
      }
      EXPECT_EQ(name_of(connection.server.cause()), name_of(Cause::kProtocol));
      EXPECT_EQ(connection.server.received, order[0] != 0 ? "" : order[1] == 1 ? "onetwo" : "one");
    }
  }
}

TEST(Hostile, MessageThatClaimsToBeHuge) {
  Server server;
  End end(server.context->accept());
  end.feed(std::string("\x16\x03\x01\x00\x04\x01\xff\xff\xff", 9));
  EXPECT_EQ(name_of(end.cause()), name_of(Cause::kProtocol)) << end.why();
}

TEST(Hostile, HugeCertificateChain) {
  Server server(true);
  std::vector<std::string> chain;
  const Identity web = server.pki.issue(server.ca, {.name = "web"});
  const Identity padding = server.pki.authority({.name = "padding"});
  chain.push_back(web.certificate);
  for (int i = 0; i < 100; ++i) chain.push_back(padding.certificate);
  for (const char* version : {"1.2", "1.3"}) {
    ClientOptions options = client_options(server.ca, version);
    options.certificate_file = server.pki.bundle("chain", chain);
    options.key_file = web.key;
    const ClientContext client_context(options);
    Connection connection(*server.context, client_context);
    connection.run();
    EXPECT_EQ(name_of(connection.server.cause()), name_of(Cause::kProtocol)) << connection.server.why();
  }
}

}  // namespace
}  // namespace pelikan::net::tls
