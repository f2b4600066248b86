// A peer that knows TLS and abuses it: floods of messages that cost us more than they cost it, and messages where none
// are allowed. OpenSSL's own client sends what it can be brought to send, a forge of TLS 1.3 records the rest.
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/ssl.h>

#include <array>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "net/tls/tls_test_kit.h"

namespace pelikan::net::tls {
namespace {

struct Server {
  Server() {
    set_certificate(options, pki.issue(ca, {.name = "server", .san = {"DNS:localhost"}}));
    context = Context::load(options);
  }
  void require_clients() {
    options.ca_file.set(ca.certificate);
    context = Context::load(options);
  }
  testing::Pki pki;
  testing::Identity ca = pki.authority("ca");
  testing::Identity web = pki.issue(ca, {.name = "web"});
  TlsOptions options;
  std::shared_ptr<const Context> context;
};

// OpenSSL's client without any of our restraint.
class RawClient {
 public:
  explicit RawClient(int version) : context_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_min_proto_version(context_.get(), version);
    SSL_CTX_set_max_proto_version(context_.get(), version);
    SSL_CTX_set_ciphersuites(context_.get(), "TLS_AES_128_GCM_SHA256");
    SSL_CTX_set_keylog_callback(context_.get(), on_secret);
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_app_data(ssl_.get(), this);
    SSL_set_connect_state(ssl_.get());
    SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  }
  void show(const testing::Identity& identity) {
    ASSERT_EQ(SSL_use_certificate_file(ssl_.get(), identity.certificate.c_str(), SSL_FILETYPE_PEM), 1);
    ASSERT_EQ(SSL_use_PrivateKey_file(ssl_.get(), identity.key.c_str(), SSL_FILETYPE_PEM), 1);
  }
  void establish(End& server) {
    while (SSL_do_handshake(ssl_.get()) != 1) {
      server.feed(take());
      ASSERT_FALSE(server.failed()) << server.why();
      give(server.take());
    }
    server.feed(take());
    ASSERT_TRUE(server.established) << server.why();
    give(server.take());
  }
  [[nodiscard]] SSL* ssl() const { return ssl_.get(); }
  [[nodiscard]] std::string take() {
    char* data = nullptr;
    const long size = BIO_get_mem_data(SSL_get_wbio(ssl_.get()), &data);
    std::string bytes(data, static_cast<std::size_t>(size));
    static_cast<void>(BIO_reset(SSL_get_wbio(ssl_.get())));
    return bytes;
  }
  void give(const std::string& bytes) {
    BIO_write(SSL_get_rbio(ssl_.get()), bytes.data(), static_cast<int>(bytes.size()));
  }
  [[nodiscard]] std::string read() {
    std::array<char, 1000> out;
    const int size = SSL_read(ssl_.get(), out.data(), static_cast<int>(out.size()));
    return size > 0 ? std::string(out.data(), static_cast<std::size_t>(size)) : "";
  }
  [[nodiscard]] std::string write(std::string_view text) {
    SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()));
    return take();
  }
  [[nodiscard]] const std::string& secret() const { return secret_; }  // CLIENT_TRAFFIC_SECRET_0

 private:
  static void on_secret(const SSL* ssl, const char* line) {
    const std::string_view text(line);
    if (!text.starts_with("CLIENT_TRAFFIC_SECRET_0 ")) return;
    std::string& secret = static_cast<RawClient*>(SSL_get_app_data(ssl))->secret_;
    const std::string_view hex = text.substr(text.rfind(' ') + 1);
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
      secret += static_cast<char>(std::strtoul(std::string(hex.substr(i, 2)).c_str(), nullptr, 16));
  }

  Handle<SSL_CTX> context_;
  Handle<SSL> ssl_;
  std::string secret_;
};

// TLS 1.3 records of a client, made by hand from its secret: whatever type and contents.
class Forge {
 public:
  explicit Forge(const RawClient& client)
      : key_(expand(client.secret(), "key", 16)), iv_(expand(client.secret(), "iv", 12)) {}

  std::string record(char type, std::string_view contents) {
    std::string plain(contents);
    plain += type;
    const std::size_t size = plain.size() + 16;
    std::string out = {0x17, 3, 3, static_cast<char>(size >> 8), static_cast<char>(size)};
    std::string nonce = iv_;
    for (std::size_t i = 0; i < 8; ++i)
      nonce[11 - i] = static_cast<char>(nonce[11 - i] ^ static_cast<char>(count_ >> (8 * i)));
    ++count_;
    const std::unique_ptr<EVP_CIPHER_CTX, void (*)(EVP_CIPHER_CTX*)> c(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
    const auto bytes = [](std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); };
    int done = 0;
    EVP_EncryptInit_ex(c.get(), EVP_aes_128_gcm(), nullptr, bytes(key_), bytes(nonce));
    EVP_EncryptUpdate(c.get(), nullptr, &done, bytes(out), 5);
    std::string sealed(plain.size() + 16, '\0');
    EVP_EncryptUpdate(c.get(), bytes(sealed), &done, bytes(plain), static_cast<int>(plain.size()));
    EVP_EncryptFinal_ex(c.get(), bytes(sealed) + done, &done);
    EVP_CIPHER_CTX_ctrl(c.get(), EVP_CTRL_AEAD_GET_TAG, 16, bytes(sealed) + plain.size());
    return out + sealed;
  }

 private:
  static std::string expand(const std::string& secret, const std::string& label, std::size_t size) {
    std::string info = {0, static_cast<char>(size), static_cast<char>(label.size() + 6)};
    info += "tls13 " + label + '\0';
    const std::unique_ptr<EVP_KDF, void (*)(EVP_KDF*)> hkdf(EVP_KDF_fetch(nullptr, "HKDF", nullptr), EVP_KDF_free);
    const std::unique_ptr<EVP_KDF_CTX, void (*)(EVP_KDF_CTX*)> c(EVP_KDF_CTX_new(hkdf.get()), EVP_KDF_CTX_free);
    char mode[] = "EXPAND_ONLY", digest[] = "SHA256";
    std::string key = secret, out(size, '\0');
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string("mode", mode, 0), OSSL_PARAM_construct_utf8_string("digest", digest, 0),
        OSSL_PARAM_construct_octet_string("key", key.data(), key.size()),
        OSSL_PARAM_construct_octet_string("info", info.data(), info.size()), OSSL_PARAM_construct_end()};
    EXPECT_EQ(EVP_KDF_derive(c.get(), reinterpret_cast<unsigned char*>(out.data()), size, parameters), 1);
    return out;
  }

  std::string key_, iv_;
  std::uint64_t count_ = 0;
};

// Feeds one record after the other until the session fails; how many it took.
std::size_t records_until_failure(End& end, const std::function<std::string()>& record) {
  for (std::size_t count = 0; count < 1000; ++count) {
    if (end.failed()) return count;
    end.feed(record());
  }
  return 1000;
}

constexpr char kAlertType = 21, kHandshakeType = 22, kDataType = 23;

// Every request for a new handshake would be answered with an alert; the first is the last.
TEST(Unrestrained, Renegotiation) {
  Server server;
  for (const bool with_data : {false, true}) {
    End end(server.context->accept());
    RawClient client(TLS1_2_VERSION);
    client.establish(end);
    std::string bytes;
    if (with_data) bytes += client.write("get a\r\n");
    ASSERT_EQ(SSL_renegotiate(client.ssl()), 1);
    SSL_do_handshake(client.ssl());
    const std::string request = client.take();
    ASSERT_FALSE(request.empty());
    end.feed(bytes + request);
    EXPECT_EQ(name_of(end.cause()), name_of(Cause::kRenegotiation)) << end.why();
    EXPECT_EQ(end.received, with_data ? "get a\r\n" : "");
    EXPECT_EQ(end.why(), "the client asked for a new handshake, which is not allowed");
    EXPECT_LT(end.wire.size(), 100u);
  }
}

// As many KeyUpdates as fit into a receive: OpenSSL would handle them all in one call.
TEST(Unrestrained, FloodOfKeyUpdates) {
  Server server;
  for (const int kind : {SSL_KEY_UPDATE_REQUESTED, SSL_KEY_UPDATE_NOT_REQUESTED}) {
    End end(server.context->accept());
    RawClient client(TLS1_3_VERSION);
    client.establish(end);
    std::string flood;
    while (flood.size() < 16'384) {
      ASSERT_EQ(SSL_key_update(client.ssl(), kind), 1);
      ASSERT_EQ(SSL_do_handshake(client.ssl()), 1);
      flood += client.take();
    }
    std::string_view bytes = flood, plain;
    EXPECT_EQ(end.session->receive(bytes, end.scratch, plain, end.wire), Session::Progress::kFailed);
    EXPECT_EQ(name_of(end.cause()), name_of(Cause::kProtocol));
    EXPECT_EQ(end.why(), "the client sent too many TLS messages and no data");
    EXPECT_GT(bytes.size(), 14'000u);
    EXPECT_LT(bytes.size(), 16'384u - 20 * 27u);
    EXPECT_LT(end.wire.size(), 50 * 27u);
  }
}

void talk_with_key_updates(End& end, RawClient& client) {
  for (int i = 0; i < 1000; ++i) {
    end.received.clear();
    if (i % 10 == 0) {
      ASSERT_EQ(SSL_key_update(client.ssl(), SSL_KEY_UPDATE_REQUESTED), 1);
    }
    end.feed(client.write("get a\r\n"));
    ASSERT_EQ(end.received, "get a\r\n") << end.why();
    ASSERT_TRUE(end.session->send("END\r\n", end.wire));
    client.give(end.take());
    EXPECT_EQ(client.read(), "END\r\n");
    EXPECT_TRUE(end.session->release_buffers());
  }
}

TEST(Unrestrained, KeyUpdatesAmongDataAreAnswered) {
  Server server;
  End end(server.context->accept());
  RawClient client(TLS1_3_VERSION);
  client.establish(end);
  talk_with_key_updates(end, client);
}

// OpenSSL's session was made anew behind its handshake.
TEST(Unrestrained, KeyUpdatesOfAClientWithACertificate) {
  Server server;
  server.require_clients();
  End end(server.context->accept());
  RawClient client(TLS1_3_VERSION);
  client.show(server.web);
  client.establish(end);
  talk_with_key_updates(end, client);
  EXPECT_EQ(end.session->peer(), "CN:web");
  EXPECT_STREQ(end.session->cipher(), "TLS_AES_128_GCM_SHA256");
  EXPECT_STREQ(end.session->version(), "TLSv1.3");
}

TEST(Unrestrained, RenegotiationOfAClientWithACertificate) {
  Server server;
  server.require_clients();
  End end(server.context->accept());
  RawClient client(TLS1_2_VERSION);
  client.show(server.web);
  client.establish(end);
  end.feed(client.write("get a\r\n"));
  EXPECT_EQ(end.received, "get a\r\n");
  ASSERT_EQ(SSL_renegotiate(client.ssl()), 1);
  SSL_do_handshake(client.ssl());
  end.feed(client.take());
  EXPECT_EQ(end.why(), "client CN:web asked for a new handshake, which is not allowed");
}

// A little data does not buy many KeyUpdates.
TEST(Unrestrained, FloodOfKeyUpdatesAndSomeData) {
  Server server;
  End end(server.context->accept());
  RawClient client(TLS1_3_VERSION);
  client.establish(end);
  EXPECT_LT(records_until_failure(end,
                                  [&] {
                                    SSL_key_update(client.ssl(), SSL_KEY_UPDATE_NOT_REQUESTED);
                                    return client.write("x");
                                  }),
            150u);
  EXPECT_EQ(name_of(end.cause()), name_of(Cause::kProtocol));
}

TEST(Unrestrained, FloodsOfRecordsWithoutData) {
  Server server;
  struct Flood {
    const char* what;
    char type;
    std::string contents;
  };
  const Flood floods[] = {{"empty data", kDataType, ""},
                          {"user_canceled", kAlertType, std::string("\x01\x5a", 2)},
                          {"empty handshake message", kHandshakeType, ""},
                          {"empty alert", kAlertType, ""}};
  for (const Flood& flood : floods) {
    SCOPED_TRACE(flood.what);
    End end(server.context->accept());
    RawClient client(TLS1_3_VERSION);
    client.establish(end);
    Forge forge(client);
    EXPECT_LE(records_until_failure(end, [&] { return forge.record(flood.type, flood.contents); }), 40u);
    EXPECT_NE(end.cause(), Cause::kNone);
    EXPECT_LT(end.wire.size(), 100u);
  }
}

// Messages that have no place after the handshake: a certificate that nobody asked for (TLS 1.3 has authentication
// after the handshake, we never ask for it), a new hello, a ticket from a client, a message of unknown type.
TEST(Unrestrained, MessagesOutOfPlace) {
  Server server;
  for (const char type : {'\x01', '\x02', '\x04', '\x08', '\x0b', '\x0d', '\x0f', '\x14', '\x63'}) {
    End end(server.context->accept());
    RawClient client(TLS1_3_VERSION);
    client.establish(end);
    Forge forge(client);
    EXPECT_EQ(records_until_failure(
                  end, [&] { return forge.record(kHandshakeType, std::string{type, 0, 0, 4, 0, 0, 0, 0}); }),
              1u);
    EXPECT_EQ(name_of(end.cause()), name_of(Cause::kProtocol)) << end.why();
    EXPECT_EQ(end.session->peer(), "");
  }
}

TEST(Unrestrained, TheForgeMakesGoodRecords) {
  Server server;
  End end(server.context->accept());
  RawClient client(TLS1_3_VERSION);
  client.establish(end);
  Forge forge(client);
  for (const char* text : {"get a\r\n", "", "get b\r\n"}) end.feed(forge.record(kDataType, text));
  EXPECT_EQ(end.received, "get a\r\nget b\r\n") << end.why();
  end.feed(forge.record(kAlertType, std::string("\x01\x00", 2)));
  EXPECT_TRUE(end.finished);
}

TEST(Unrestrained, WhatHasFailedStaysSo) {
  Server server;
  End end(server.context->accept());
  RawClient client(TLS1_3_VERSION);
  client.establish(end);
  static_cast<void>(end.take());
  Forge forge(client);
  end.feed(forge.record(kHandshakeType, std::string("\x01\0\0\0", 4)));
  ASSERT_TRUE(end.failed());
  const std::string alert = end.take();
  EXPECT_FALSE(alert.empty());
  const std::string record = forge.record(kDataType, "get a\r\n");
  std::string_view bytes = record, plain;
  EXPECT_EQ(end.session->receive(bytes, end.scratch, plain, end.wire), Session::Progress::kFailed);
  EXPECT_TRUE(plain.empty());
  EXPECT_FALSE(end.session->send("END\r\n", end.wire));
  end.session->finish(end.wire);
  EXPECT_TRUE(end.wire.empty());

  End plain_text(server.context->accept());
  plain_text.feed("get a\r\n");
  ASSERT_TRUE(plain_text.failed());
  bytes = "\x16\x03\x01";
  EXPECT_EQ(plain_text.session->handshake(bytes, plain_text.wire), Session::Progress::kFailed);
  EXPECT_EQ(plain_text.cause(), Cause::kPlainText);
}

TEST(Unrestrained, FatalAlert) {
  Server server;
  End end(server.context->accept());
  RawClient client(TLS1_3_VERSION);
  client.establish(end);
  end.feed(Forge(client).record(kAlertType, std::string("\x02\x30", 2)));
  EXPECT_EQ(name_of(end.cause()), name_of(Cause::kPeerAlert));
  EXPECT_NE(end.why().find("unknown ca"), std::string::npos) << end.why();
}

TEST(Unrestrained, WarningsDuringTheHandshake) {
  Server server;
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    End end(server.context->accept());
    RawClient client(version);
    SSL_do_handshake(client.ssl());
    end.feed(client.take());
    static_cast<void>(end.take());
    EXPECT_LE(records_until_failure(end, [] { return std::string("\x15\x03\x03\x00\x02\x01\x5a", 7); }), 10u);
    EXPECT_NE(end.cause(), Cause::kNone);
  }
}

// TLS 1.3 ignores some ChangeCipherSpec records; not for ever.
TEST(Unrestrained, FloodOfChangeCipherSpec) {
  Server server;
  End end(server.context->accept());
  RawClient client(TLS1_3_VERSION);
  SSL_do_handshake(client.ssl());
  end.feed(client.take());
  EXPECT_LE(records_until_failure(end, [] { return std::string("\x14\x03\x03\x00\x01\x01", 6); }), 40u);
}

}  // namespace
}  // namespace pelikan::net::tls
