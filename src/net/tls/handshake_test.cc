// Handshakes of every version and key, and the data after them.
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <thread>
#include <utility>

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

// The end of a handshake and the first requests in one piece.
TEST_P(EveryWay, RequestRightBehindTheHandshake) {
  const auto context = Context::load(options_);
  const ClientContext client_context(client_options_);
  Connection connection(*context, client_context);
  End &client = connection.client, &server = connection.server;
  for (client.feed({}); !client.established; client.feed(server.take())) server.feed(client.take());
  ASSERT_TRUE(client.session->send("get a\r\n", client.wire));
  ASSERT_TRUE(client.session->send("get b\r\n", client.wire));
  server.feed(client.take());
  ASSERT_TRUE(server.established) << server.why();
  EXPECT_EQ(server.received, "get a\r\nget b\r\n");
}

TEST_P(EveryWay, EveryByteAlone) {
  const auto context = Context::load(options_);
  const ClientContext client_context(client_options_);
  for (const bool resume : {false, true}) {
    Connection connection(*context, client_context, resume);
    connection.run(1);
    ASSERT_TRUE(connection.established()) << connection.server.why() << connection.client.why();
    EXPECT_EQ(connection.server.session->resumed(), resume);
    for (End* from : {&connection.client, &connection.server}) {
      End& to = from == &connection.client ? connection.server : connection.client;
      ASSERT_TRUE(from->session->send("some bytes", from->wire));
      connection.run(1);
      EXPECT_EQ(to.received, "some bytes");
    }
  }
}

// Every flight of the handshake is cut in two at the same place, for every place.
TEST_P(EveryWay, HandshakeCutAnywhere) {
  const auto context = Context::load(options_);
  const ClientContext client_context(client_options_);
  const std::size_t stride = GetParam().rsa ? 61 : GetParam().mutual ? 7 : 1;  // each byte alone is the test above
  std::size_t longest = 1;
  for (std::size_t cut = 1; cut <= longest; cut += stride) {
    Connection connection(*context, client_context);
    connection.client.feed({});
    for (bool quiet = false; !quiet;) {
      const std::string to_server = connection.client.take(), to_client = connection.server.take();
      quiet = to_server.empty() && to_client.empty();
      longest = std::max({longest, to_server.size(), to_client.size()});
      for (auto [end, bytes] : {std::pair{&connection.server, &to_server}, {&connection.client, &to_client}}) {
        end->feed(std::string_view(*bytes).substr(0, cut));
        if (bytes->size() > cut) end->feed(std::string_view(*bytes).substr(cut));
      }
    }
    ASSERT_TRUE(connection.established()) << cut << connection.server.why() << connection.client.why();
  }
  EXPECT_GT(longest, 100u);
}

// Data cut anywhere; between the pieces the buffers are given back, if they can be.
TEST_P(EveryWay, RecordsCutAnywhere) {
  const auto context = Context::load(options_);
  const ClientContext client_context(client_options_);
  Connection connection(*context, client_context);
  connection.run();
  ASSERT_TRUE(connection.established());
  for (End* from : {&connection.client, &connection.server}) {
    End& to = from == &connection.client ? connection.server : connection.client;
    std::size_t size = 1;
    for (std::size_t cut = 0; cut <= size; ++cut) {
      to.received.clear();
      for (const char* text : {"set a 0 0 1\r\n", "a\r\n"}) ASSERT_TRUE(from->session->send(text, from->wire));
      const std::string bytes = from->take();
      size = bytes.size();
      to.feed(std::string_view(bytes).substr(0, cut));
      const bool whole = cut == 0 || cut == size || to.received == "set a 0 0 1\r\n";
      if (cut == 0 || cut == size || !whole) {
        EXPECT_EQ(to.session->release_buffers(), whole) << cut;
      }
      to.feed(std::string_view(bytes).substr(cut));
      ASSERT_FALSE(to.failed()) << cut << to.why();
      EXPECT_EQ(to.received, "set a 0 0 1\r\na\r\n") << cut;
      EXPECT_TRUE(to.session->release_buffers()) << cut;
    }
  }
}

// OpenSSL takes any error in the thread's queue for that of its last call. Before each call somebody has left one here;
// cut records, close_notify and damage are still told apart.
TEST_P(EveryWay, ErrorsThatOthersLeft) {
  const auto leave_error = [] { ERR_raise(ERR_LIB_SSL, SSL_R_NO_SHARED_CIPHER); };
  const auto context = Context::load(options_);
  const ClientContext client_context(client_options_);
  for (const bool damage : {false, true}) {
    Connection connection(*context, client_context);
    End &client = connection.client, &server = connection.server;
    client.feed({});
    for (std::string to_server = client.take(); !to_server.empty(); to_server = client.take()) {
      for (const char& byte : to_server) {
        leave_error();
        server.feed({&byte, 1});
      }
      client.feed(server.take());
    }
    ASSERT_TRUE(connection.established()) << server.why() << client.why();
    leave_error();
    ASSERT_TRUE(client.session->send("get a\r\n", client.wire));
    leave_error();
    client.session->finish(client.wire);
    std::string bytes = client.take();
    if (damage) bytes[10] = static_cast<char>(bytes[10] ^ 1);
    for (const char& byte : bytes) {
      leave_error();
      server.feed({&byte, 1});
    }
    EXPECT_EQ(server.received, damage ? "" : "get a\r\n");
    EXPECT_EQ(server.finished, !damage);
    EXPECT_EQ(name_of(server.cause()), name_of(damage ? Cause::kProtocol : Cause::kNone)) << server.why();
  }
  ERR_clear_error();
}

std::size_t count_records(std::string_view wire) {
  std::size_t count = 0;
  for (; wire.size() >= 5; ++count) {
    const auto high = static_cast<unsigned char>(wire[3]), low = static_cast<unsigned char>(wire[4]);
    wire.remove_prefix(std::min<std::size_t>(wire.size(), 5u + high * 256u + low));
  }
  return count;
}

TEST_P(EveryWay, SizesAndFewestRecords) {
  const auto context = Context::load(options_);
  const ClientContext client_context(client_options_);
  Connection connection(*context, client_context);
  connection.run();
  ASSERT_TRUE(connection.established());
  constexpr std::size_t kRecord = Session::kPlainBytesMax;
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{100}, kRecord - 1, kRecord, kRecord + 1,
                                 2 * kRecord, std::size_t{1} << 20}) {
    SCOPED_TRACE(size);
    std::string text;
    for (std::size_t i = 0; i < size; ++i) text += static_cast<char>('a' + i * 7 % 26);
    for (End* from : {&connection.client, &connection.server}) {
      End& to = from == &connection.client ? connection.server : connection.client;
      to.received.clear();
      ASSERT_TRUE(from->session->send(text, from->wire));
      EXPECT_EQ(count_records(from->wire.view()), (size + kRecord - 1) / kRecord);
      connection.run(size < 1000 ? 1 : 9999);
      EXPECT_TRUE(to.received == text);
    }
  }
}

TEST_P(EveryWay, EachSideFinishesForItself) {
  const auto context = Context::load(options_);
  const ClientContext client_context(client_options_);
  for (const bool client_first : {true, false}) {
    Connection connection(*context, client_context);
    connection.run();
    End& first = client_first ? connection.client : connection.server;
    End& second = client_first ? connection.server : connection.client;
    ASSERT_TRUE(first.session->send("last words", first.wire));
    first.session->finish(first.wire);
    connection.run();
    EXPECT_TRUE(second.finished);
    EXPECT_FALSE(first.finished);
    EXPECT_EQ(second.received, "last words");
    ASSERT_TRUE(second.session->send("answers", second.wire));
    second.session->finish(second.wire);
    connection.run();
    EXPECT_TRUE(first.finished);
    EXPECT_EQ(first.received, "answers");
    EXPECT_FALSE(first.failed() || second.failed());
  }
}

// The listener's thread makes the handshake, a worker's the rest.
TEST_P(EveryWay, MovesToAnotherThread) {
  const auto context = Context::load(options_);
  const ClientContext client_context(client_options_);
  Connection connection(*context, client_context);
  std::thread([&] { connection.run(); }).join();
  std::thread([&] {
    ASSERT_TRUE(connection.established());
    ASSERT_TRUE(connection.client.session->send("get a\r\n", connection.client.wire));
    connection.run();
    EXPECT_EQ(connection.server.received, "get a\r\n");
    EXPECT_TRUE(connection.server.session->release_buffers());
  }).join();
  connection.server.session.reset();
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
