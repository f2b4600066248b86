// The admin port over TLS, by real handshakes with certificates made here: both versions, clients that are let in and
// that are not, and whatever else arrives where a handshake should be.
#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "admin/admin.h"
#include "admin/admin_test_kit.h"
#include "log/log.h"
#include "metrics/metrics.h"
#include "testing/pki/pki.h"

namespace pelikan::admin {
namespace {

namespace tls = net::tls;
using testing::Identity;
using testing::Pki;

// One set of certificates for all tests: making them takes longer than using them.
struct Certificates {
  Pki pki;
  Identity ca = pki.authority("ca");
  Identity server = pki.issue(ca, {.name = "server", .san = {"DNS:localhost"}});
  Identity clients = pki.authority("clients");
  Identity ops = pki.issue(clients, {.name = "ops", .san = {"URI:spiffe://prod/ops/ann"}});
  Identity web = pki.issue(clients, {.name = "web", .san = {"URI:spiffe://prod/web"}});
  Identity old = pki.issue(clients, {.name = "old", .san = {"URI:spiffe://prod/ops/old"}, .ends_sec = -60});
  Identity lost = pki.issue(clients, {.name = "lost", .san = {"URI:spiffe://prod/ops/lost"}});
  Identity other_ca = pki.authority("other");
  Identity stranger = pki.issue(other_ca, {.name = "stranger", .san = {"URI:spiffe://prod/ops/ann"}});
  std::string revoked = pki.revocation_list("revoked", clients, {lost});
};

const Certificates& certificates() {
  static const Certificates instance;
  return instance;
}

struct PlainTls : tls::TlsOptions {
  PlainTls() : TlsOptions("admin_tls") {
    certificate.set(certificates().server.certificate);
    private_key.set(certificates().server.key);
  }
};

struct MutualTls : PlainTls {
  MutualTls() {
    ca_file.set(certificates().clients.certificate);
    crl_file.set(certificates().revoked);
    allow.set({"URI:spiffe://prod/ops/*"});
  }
};

tls::ClientOptions client_options(const Identity* identity = nullptr, const char* version = nullptr) {
  tls::ClientOptions options{.ca_file = certificates().ca.certificate, .certificate_file = {}, .key_file = {}};
  if (identity) options.certificate_file = identity->certificate;
  if (identity) options.key_file = identity->key;
  if (version) options.min_version = options.max_version = version;
  return options;
}

std::int64_t counted(const char* name) { return metrics::snapshot().value(name); }

// A client may see its end before that is counted.
void expect_counted(const char* name, std::int64_t expected) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(kClientTimeoutSec);
  while (counted(name) < expected && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_EQ(counted(name), expected) << name;
}

TEST(AdminTls, SaysTheSameAsInPlainText) {
  const PlainTls plain;
  const MutualTls mutual;
  for (const tls::TlsOptions* options :
       {static_cast<const tls::TlsOptions*>(&plain), static_cast<const tls::TlsOptions*>(&mutual)}) {
    for (const char* version : {"1.2", "1.3"}) {
      SCOPED_TRACE(version);
      const tls::Credentials credentials(*options);
      const tls::ClientContext context(client_options(&certificates().ops, version));
      Running server(plain_hooks(), std::chrono::seconds(10), &credentials);
      EXPECT_EQ(server.talk("version\r\nnonsense\nquit\r\nversion\r\n", &context), "VERSION 1.2.3\r\nERROR\r\n");
      EXPECT_EQ(server.talk(std::string(1024, 'x'), &context), "ERROR line too long\r\n");
      EXPECT_EQ(server.talk("\x16\x03\x01\n", &context), "ERROR\r\n");
      EXPECT_EQ(nlohmann::json::parse(body_of(server.get("/vars.json", &context)))["engine"], "epoll");
      EXPECT_TRUE(server.get("/readyz", &context).starts_with("HTTP/1.1 503 "));
      const std::string head = server.talk("HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n", &context);
      EXPECT_NE(head.find("Content-Length: 3\r\n"), std::string::npos) << head;
      EXPECT_EQ(body_of(head), "");
      EXPECT_TRUE(server.talk("GET / HTTP/1.1\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n", &context)
                      .starts_with("HTTP/1.1 431 "));

      Client client(server->address(), &context);
      ASSERT_TRUE(client.secure()) << client.tls().failure().text;
      EXPECT_STREQ(client.tls().version(), std::string("TLSv").append(version).c_str());
      for (int i = 0; i < 3; ++i) {
        client.send("GET /healthz HTTP/1.1\r\n\r\n");
        EXPECT_TRUE(client.read_to("ok\n").ends_with("ok\n"));
      }
      client.send("GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n");
      EXPECT_TRUE(client.read_all().ends_with("ok\n"));
      EXPECT_TRUE(client.closed_by_tls());
      Client leaving(server->address(), &context);
      leaving.end();
      EXPECT_EQ(leaving.read_all(), "");
      EXPECT_TRUE(leaving.closed_by_tls());
    }
  }
}

TEST(AdminTls, EveryByteByItself) {
  const MutualTls options;
  const tls::Credentials credentials(options);
  const tls::ClientContext context(client_options(&certificates().ops));
  Running server(plain_hooks(), std::chrono::seconds(10), &credentials);
  Client text(server->address(), &context, true);
  for (const char c : std::string_view("version\r\nbad\nquit\r\n")) text.send({&c, 1});
  EXPECT_EQ(text.read_all(), "VERSION 1.2.3\r\nERROR\r\n");
  Client http(server->address(), &context, true);
  for (const char c : std::string_view("GET /healthz HTTP/1.0\r\n\r\n")) http.send({&c, 1});
  EXPECT_EQ(body_of(http.read_all()), "ok\n");
}

TEST(AdminTls, ClientsComeBackWithTheirTicket) {
  const MutualTls options;
  const tls::Credentials credentials(options);
  for (const char* version : {"1.2", "1.3"}) {
    const tls::ClientContext context(client_options(&certificates().ops, version));
    Running server(plain_hooks(), std::chrono::seconds(10), &credentials);
    for (const bool resumed : {false, true}) {
      Client client(server->address(), &context);
      client.send("version\r\nquit\r\n");
      EXPECT_EQ(client.read_all(), "VERSION 1.2.3\r\n");
      EXPECT_EQ(client.tls().resumed(), resumed) << version;
    }
  }
}

// Repeats what makes a line be logged until it is there: of many at once only some are written.
void expect_logged(std::string_view words, const std::string& file, const std::function<void()>& again) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(kClientTimeoutSec);
  std::string log;
  do {
    again();
    std::stringstream text;
    text << std::ifstream(file).rdbuf();
    log = text.str();
  } while (!log.contains(words) && std::chrono::steady_clock::now() < deadline);
  EXPECT_TRUE(log.contains(words)) << words << " not in " << log;
}

class AdminTlsLogged : public ::testing::Test {
 protected:
  void SetUp() override {
    log::LogOptions options;
    options.log_file.set(file_);
    log::configure(options);
  }
  void TearDown() override { log::configure({}); }

  Pki folder_;
  const std::string file_ = folder_.folder() + "/log";
};

TEST_F(AdminTlsLogged, OnlyTheRightClientGetsIn) {
  struct Row {
    const Identity* identity;
    const char* logged;
  };
  const Certificates& all = certificates();
  const Row rows[] = {
      {nullptr, "the client sent no certificate"},
      {&all.stranger, "URI:spiffe://prod/ops/ann: unable to get local issuer"},
      {&all.old, "URI:spiffe://prod/ops/old: certificate has expired"},
      {&all.lost, "URI:spiffe://prod/ops/lost: certificate revoked"},
      {&all.web, "URI:spiffe://prod/web: no name in it is on the allow-list"},
  };
  const MutualTls options;
  const tls::Credentials credentials(options);
  for (const char* version : {"1.2", "1.3"}) {
    for (const Row& row : rows) {
      SCOPED_TRACE(std::string(version) + " " + row.logged);
      const std::int64_t refused = counted("admin_tls_handshake_ex"), let_in = counted("admin_tls_handshake");
      const tls::ClientContext context(client_options(row.identity, version));
      Running server(plain_hooks(), std::chrono::seconds(10), &credentials);
      int attempts = 0;
      expect_logged(row.logged, file_, [&] {
        ++attempts;
        Client client(server->address(), &context);
        client.send("GET /healthz HTTP/1.1\r\n\r\n");
        EXPECT_EQ(client.read_all(), "");
        EXPECT_EQ(client.tls().failure().cause, tls::Cause::kPeerAlert) << client.tls().failure().text;
      });
      const tls::ClientContext right(client_options(&all.ops, version));
      EXPECT_EQ(server.talk("version\r\n", &right), "VERSION 1.2.3\r\n");
      expect_counted("admin_tls_handshake_ex", refused + attempts);
      expect_counted("admin_tls_handshake", let_in + 1);
    }
  }
}

TEST_F(AdminTlsLogged, WhatIsNoHandshakeIsClosedAndNamed) {
  struct Row {
    std::string bytes;
    const char* logged;
  };
  const Row rows[] = {
      {"version\r\n", "speaks no TLS"},
      {"GET / HTTP/1.1\r\n\r\n", "speaks no TLS"},
      {std::string("\x00\xff\x16\x03\x01\n", 6), "speaks no TLS"},
      {std::string("\x16\x03\x01\x00\x05hello", 10), "no valid TLS"},
      {std::string("\x16\x03\x01\xff\xff", 5) + std::string(100'000, 'x'), "no valid TLS"},
      {std::string("\x16\x03\x01\x02", 4), "ended the connection during the handshake"},
  };
  const PlainTls options;
  const tls::Credentials credentials(options);
  const tls::ClientContext context(client_options());
  for (const Row& row : rows) {
    SCOPED_TRACE(row.bytes.substr(0, 20));
    const std::int64_t refused = counted("admin_tls_handshake_ex");
    Running server(plain_hooks(), std::chrono::seconds(10), &credentials);
    int attempts = 0;
    expect_logged(row.logged, file_, [&] {
      ++attempts;
      const std::string reply = server.talk(row.bytes);
      EXPECT_TRUE(reply.empty() || reply.starts_with("\x15\x03")) << reply;  // nothing, or an alert
    });
    EXPECT_EQ(server.talk(""), "");  // who leaves without a word is no failure
    EXPECT_EQ(server.talk("version\r\n", &context), "VERSION 1.2.3\r\n");
    expect_counted("admin_tls_handshake_ex", refused + attempts);
  }
}

TEST_F(AdminTlsLogged, TlsToAPlainPortIsClosedAndNamed) {
  const std::int64_t before = counted("admin_tls_on_plain_port");
  const tls::ClientContext context(client_options());
  Running server;
  int attempts = 0;
  expect_logged("it began TLS, and this port speaks plain text", file_, [&] {
    ++attempts;
    EXPECT_FALSE(Client(server->address(), &context).secure());
  });
  EXPECT_EQ(server.talk("version\n"), "VERSION 1.2.3\r\n");
  expect_counted("admin_tls_on_plain_port", before + attempts);
}

TEST_F(AdminTlsLogged, AStalledHandshakeEndsInTime) {
  const std::int64_t before = counted("admin_tls_handshake_ex");
  const PlainTls options;
  const tls::Credentials credentials(options);
  Running server(plain_hooks(), std::chrono::milliseconds(50), &credentials);
  int attempts = 0;
  expect_logged("not done within admin.idle_timeout", file_, [&] {
    for (const std::string_view beginning : {std::string_view(), std::string_view("\x16\x03\x01\x02\x00\x01", 6)}) {
      ++attempts;
      Client client(server->address());
      client.send(beginning);
      EXPECT_EQ(client.read_all(), "");
    }
  });
  expect_counted("admin_tls_handshake_ex", before + attempts);
}

TEST(AdminTls, SilentAndTamperingClientsAreClosed) {
  const std::int64_t before = counted("admin_event_error");
  const PlainTls options;
  const tls::Credentials credentials(options);
  const tls::ClientContext context(client_options());
  Running server(plain_hooks(), kShortTimeout, &credentials);
  std::deque<Client> silent;  // all at once: each takes the whole time
  for (const char* beginning : {"", "vers", "GET / HTTP/1.1\r\nX: "}) {
    Client& client = silent.emplace_back(server->address(), &context);
    ASSERT_TRUE(client.secure());
    client.send(beginning);
  }
  for (Client& client : silent) EXPECT_EQ(client.read_all(), "");
  Client client(server->address(), &context);
  ASSERT_TRUE(client.secure());
  client.send_raw(std::string_view("\x17\x03\x03\x00\x14", 5));
  client.send_raw(std::string(20, 'x'));
  EXPECT_EQ(client.read_all(), "");
  EXPECT_EQ(client.tls().failure().cause, tls::Cause::kPeerAlert) << client.tls().failure().text;
  expect_counted("admin_event_error", before + 4);
}

TEST(AdminTls, AClientThatDoesNotReadHarmsNobody) {
  const PlainTls options;
  const tls::Credentials credentials(options);
  const tls::ClientContext context(client_options());
  Running server(plain_hooks(), std::chrono::seconds(2), &credentials);
  Client deaf(server->address(), &context);
  std::string commands;
  for (int i = 0; i < 2000; ++i) commands += "stats\n";
  deaf.send(commands);
  EXPECT_EQ(server.talk("version\n", &context), "VERSION 1.2.3\r\n");
}

TEST(AdminTls, LongRepliesComeWhole) {
  Hooks hooks = plain_hooks();
  std::string report;
  for (int i = 0; i < 100'000; ++i) report += "STAT " + std::to_string(i) + " free\r\n";
  hooks.segments = [&](const std::function<void(std::string)>& answer) { answer(report); };
  const PlainTls options;
  const tls::Credentials credentials(options);
  const tls::ClientContext context(client_options());
  Running server(std::move(hooks), std::chrono::seconds(10), &credentials);
  EXPECT_EQ(server.talk("stats segments\r\nversion\r\n", &context), report + "END\r\nVERSION 1.2.3\r\n");
}

TEST(AdminTls, ConnectionsInHandshakeCountAndEndWithTheServer) {
  const PlainTls options;
  const tls::Credentials credentials(options);
  const tls::ClientContext context(client_options());
  Running server(plain_hooks(), std::chrono::seconds(10), &credentials);
  std::deque<Client> clients;
  for (std::size_t i = 1; i < AdminServer::kMaxSessions; ++i) clients.emplace_back(server->address()).send("\x16\x03");
  Client last(server->address(), &context);
  EXPECT_TRUE(last.secure());
  Client refused(server->address(), &context);
  EXPECT_FALSE(refused.secure());
  server->stop();
  for (Client& client : clients) EXPECT_EQ(client.read_all(), "");
  EXPECT_EQ(last.read_all(), "");
}

TEST(AdminTls, SettingsGoTogetherOrTheServerDoesNotStart) {
  enum Keys { kNone, kCertificate, kChain, kOther };
  const auto fill = [](tls::TlsOptions& options, Keys keys) {
    if (keys == kCertificate) options.certificate.set("server.pem");
    if (keys == kChain) options.certificate_chain.set("chain.pem");
    if (keys == kOther) options.ca_file.set("ca.pem");
  };
  struct Row {
    bool use_tls;
    Keys admin_tls, tls;
    const char* chosen;  // section, "" plain text; or words of the refusal
  };
  const Row rows[] = {
      {false, kNone, kNone, ""},
      {false, kNone, kChain, ""},
      {false, kChain, kChain, "admin.use_tls is false"},
      {false, kOther, kNone, "admin.use_tls is false"},
      {true, kNone, kNone, "set tls.certificate_chain"},
      {true, kNone, kOther, "set tls.certificate_chain"},
      {true, kOther, kChain, "set admin_tls.certificate_chain"},
      {true, kNone, kChain, "tls"},
      {true, kNone, kCertificate, "tls"},
      {true, kChain, kChain, "admin_tls"},
      {true, kCertificate, kNone, "admin_tls"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(::testing::Message() << row.use_tls << ' ' << row.admin_tls << ' ' << row.tls);
    AdminOptions admin;
    tls::TlsOptions admin_tls("admin_tls"), data_tls;
    admin.use_tls.set(row.use_tls);
    fill(admin_tls, row.admin_tls);
    fill(data_tls, row.tls);
    try {
      const tls::TlsOptions* chosen = choose_tls(admin, admin_tls, data_tls);
      EXPECT_EQ(chosen ? chosen->name() : "", row.chosen);
    } catch (const config::Error& error) {
      EXPECT_NE(std::string_view(error.what()).find(row.chosen), std::string_view::npos) << error.what();
      EXPECT_NE(std::string_view(row.chosen).find(' '), std::string_view::npos) << error.what();
    }
  }
}

TEST(AdminTls, NeverPlainTextInstead) {
  const PlainTls options;
  const tls::Credentials credentials(options);
  AdminOptions admin;
  admin.port.set(0);
  EXPECT_THROW(AdminServer(admin, plain_hooks(), &credentials), std::runtime_error);
  admin.use_tls.set(true);
  EXPECT_THROW(AdminServer(admin, plain_hooks(), nullptr), std::runtime_error);
}

}  // namespace
}  // namespace pelikan::admin
