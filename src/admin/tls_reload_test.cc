// POST /tls/reload: what is asked, answered and refused; then with real certificates, what changes for connections that
// are open and for those that come.
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <thread>

#include "admin/admin.h"
#include "admin/admin_test_kit.h"
#include "testing/pki/pki.h"

namespace pelikan::admin {
namespace {

namespace tls = net::tls;
using Answer = std::function<void(std::expected<std::string, std::string>)>;

constexpr const char* kPost = "POST /tls/reload HTTP/1.1\r\nHost: h\r\n";

Hooks hooks_with(std::function<void(Answer)> reload) {
  Hooks hooks = plain_hooks();
  hooks.reload_tls = std::move(reload);
  return hooks;
}

TEST(TlsReload, AnswersWhatTheHookSays) {
  struct Row {
    std::expected<std::string, std::string> report;
    const char* status;
    const char* body;
  };
  const Row rows[] = {
      {"tls: swapped\nadmin_tls: unchanged\n", "HTTP/1.1 200 ", "tls: swapped\nadmin_tls: unchanged\n"},
      {std::unexpected("tls.private_key: gone"), "HTTP/1.1 500 ", "tls.private_key: gone\n"},
  };
  for (const Row& row : rows) {
    std::thread worker;
    Running server(hooks_with(
        [&](Answer answer) { worker = std::thread([&row, answer = std::move(answer)] { answer(row.report); }); }));
    const std::string response = server.talk(std::string(kPost) + "\r\n");
    worker.join();
    EXPECT_TRUE(response.starts_with(row.status)) << response;
    EXPECT_EQ(body_of(response), row.body);
  }
}

TEST(TlsReload, KeepsTheConnection) {
  int reloads = 0;
  Running server(hooks_with([&](const Answer& answer) {
    ++reloads;
    answer("tls: unchanged\n");
  }));
  Client client(server->address());
  for (int i = 0; i < 3; ++i) {
    client.send(std::string(kPost) + (i == 1 ? "Content-Length: 0\r\n" : "") + "\r\n");
    EXPECT_TRUE(client.read_to("tls: unchanged\n").starts_with("HTTP/1.1 200 "));
  }
  EXPECT_EQ(reloads, 3);
}

TEST(TlsReload, AnAnswerThatNeverComesIsTold) {
  Answer kept;
  Running server(hooks_with([&](Answer answer) { kept = std::move(answer); }), kShortTimeout);
  const std::string response = server.talk(std::string(kPost) + "\r\n");
  EXPECT_TRUE(response.starts_with("HTTP/1.1 500 ")) << response;
  EXPECT_EQ(body_of(response), "not done in time\n");
}

TEST(TlsReload, IsNotThereWithoutTls) {
  Running server;
  for (const char* method : {"POST", "GET", "HEAD", "PUT"}) {
    const std::string response = server.talk(std::string(method) + " /tls/reload HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_TRUE(response.starts_with("HTTP/1.1 404 ")) << response;
  }
}

TEST(TlsReload, RefusesOtherMethodsBodiesAndForeignPages) {
  struct Row {
    std::string request;
    const char* status;
    const char* header = "";
  };
  const std::string post = kPost;
  const Row rows[] = {
      {"GET /tls/reload HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 405 ", "\r\nAllow: POST\r\n"},
      {"HEAD /tls/reload HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 405 ", "\r\nAllow: POST\r\n"},
      {"DELETE /tls/reload?now HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 405 ", "\r\nAllow: POST\r\n"},
      {"POST /tls/reload/ HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 405 ", "\r\nAllow: GET, HEAD\r\n"},
      {"POST /metrics HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 405 ", "\r\nAllow: GET, HEAD\r\n"},
      {post + "Content-Length: 5\r\n\r\nhello", "HTTP/1.1 413 "},
      {post + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 413 "},
      {post + "Origin: http://evil.example\r\n\r\n", "HTTP/1.1 403 "},
      {post + "Origin: http://h.evil.example\r\n\r\n", "HTTP/1.1 403 "},
      {post + "Origin: http://h:8080\r\n\r\n", "HTTP/1.1 403 "},
      {post + "Origin: null\r\n\r\n", "HTTP/1.1 403 "},
      {post + "Origin:\r\n\r\n", "HTTP/1.1 403 "},
      {post + "Origin: h\r\n\r\n", "HTTP/1.1 403 "},
      {post + "Origin: http://h\r\nOrigin: http://evil.example\r\n\r\n", "HTTP/1.1 403 "},
      {post + "Host: evil.example\r\nOrigin: http://evil.example\r\n\r\n", "HTTP/1.1 403 "},
      {"POST /tls/reload HTTP/1.0\r\nOrigin: http://\r\n\r\n", "HTTP/1.0 403 "},
      {"POST /tls/reload HTTP/1.1\r\nHost:\r\nOrigin: http://\r\n\r\n", "HTTP/1.1 403 "},
  };
  int reloads = 0;
  Running server(hooks_with([&](const Answer& answer) {
    ++reloads;
    answer("");
  }));
  for (const Row& row : rows) {
    const std::string response = server.talk(row.request);
    EXPECT_TRUE(response.starts_with(row.status)) << row.request << " -> " << response;
    EXPECT_NE(response.find(row.header), std::string::npos) << row.request << " -> " << response;
    EXPECT_EQ(response.find("HTTP/", 1), std::string::npos) << "one response only";
  }
  EXPECT_EQ(reloads, 0);
  for (const char* same : {"", "Origin: http://h\r\n", "Origin: https://H\r\n"})
    EXPECT_TRUE(server.talk(post + same + "\r\n").starts_with("HTTP/1.1 200 ")) << same;
  EXPECT_EQ(reloads, 3);
}

struct Site {
  testing::Pki pki;
  testing::Identity ca = pki.authority("ca");
  testing::Identity ann = pki.issue(ca, {.name = "ann"});
  testing::Identity bob = pki.issue(ca, {.name = "bob"});
  tls::TlsOptions options{"admin_tls"};

  Site() {
    serve("first");
    options.ca_file.set(ca.certificate);
    options.certificate.set(pki.folder() + "/served.pem");
    options.private_key.set(pki.folder() + "/served.key");
    revoke({});
  }
  void serve(const std::string& name) {
    const testing::Identity server = pki.issue(ca, {.name = name, .san = {"DNS:localhost", "DNS:" + name}});
    std::filesystem::rename(server.certificate, pki.folder() + "/served.pem");
    std::filesystem::rename(server.key, pki.folder() + "/served.key");
  }
  void revoke(const std::vector<testing::Identity>& identities) {
    options.crl_file.set(pki.revocation_list("revoked", ca, identities));
  }
  tls::ClientOptions client(const testing::Identity& identity) const {
    return {.ca_file = ca.certificate, .certificate_file = identity.certificate, .key_file = identity.key};
  }
};

Hooks reloading(tls::Credentials& credentials) {
  return hooks_with([&](const Answer& answer) {
    const std::expected<tls::Reloaded, std::string> done = credentials.reload(config::List{});
    if (!done) return answer(std::unexpected(done.error()));
    answer(*done == tls::Reloaded::kUnchanged ? "unchanged\n"
           : *done == tls::Reloaded::kSwapped ? "swapped\n"
                                              : "trust\n");
  });
}

TEST(TlsReload, NewConnectionsGetTheNewCertificate) {
  Site site;
  tls::Credentials credentials(site.options);
  Running server(reloading(credentials), std::chrono::seconds(10), &credentials);
  const tls::ClientContext ann(site.client(site.ann));
  Client before(server->address(), &ann);
  ASSERT_TRUE(before.secure());
  const auto reload = [&] { return body_of(server.talk(std::string(kPost) + "\r\n", &ann)); };
  EXPECT_EQ(reload(), "unchanged\n");
  EXPECT_EQ(before.tls().peer(), "DNS:localhost");
  site.serve("second");
  EXPECT_EQ(reload(), "swapped\n");
  before.send("version\n");
  EXPECT_EQ(before.read_to("\n"), "VERSION 1.2.3\r\n");
  site.pki.file("served.pem", "nonsense");
  EXPECT_NE(reload().find("served.pem"), std::string::npos);
  EXPECT_EQ(server.talk("version\n", &ann), "VERSION 1.2.3\r\n");
}

TEST(TlsReload, WhoIsRevokedIsClosedAtTheNextRequest) {
  Site site;
  tls::Credentials credentials(site.options);
  Running server(reloading(credentials), std::chrono::seconds(10), &credentials);
  const tls::ClientContext ann(site.client(site.ann)), bob(site.client(site.bob));
  Client good(server->address(), &ann), text(server->address(), &bob), http(server->address(), &bob);
  for (Client* client : {&good, &text}) {
    client->send("version\n");
    EXPECT_EQ(client->read_to("\n"), "VERSION 1.2.3\r\n");
  }
  http.send("GET /healthz HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(http.read_to("ok\n").ends_with("ok\n"));
  site.revoke({site.bob});
  EXPECT_EQ(body_of(server.talk(std::string(kPost) + "\r\n", &ann)), "trust\n");
  good.send("version\n");
  EXPECT_EQ(good.read_to("\n"), "VERSION 1.2.3\r\n");
  text.send("version\n");
  EXPECT_EQ(text.read_all(), "");
  http.send("GET /healthz HTTP/1.1\r\n\r\n");
  EXPECT_EQ(http.read_all(), "");
  for (Client* client : {&text, &http}) EXPECT_TRUE(client->closed_by_tls());
  EXPECT_EQ(server.talk("version\n", &bob), "");  // with a ticket, too
  EXPECT_EQ(server.talk("version\n", &ann), "VERSION 1.2.3\r\n");
}

}  // namespace
}  // namespace pelikan::admin
