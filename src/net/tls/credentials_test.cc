// Certificates replaced while a server runs.
#include "net/tls/credentials.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "metrics/metrics.h"
#include "net/tls/tls_test_kit.h"

namespace pelikan::net::tls {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;
using testing::Identity;
using testing::kDaySec;
using testing::Pki;

// Files with fixed names, whose contents change.
class CredentialsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    install(pki_.issue(ca_, {.name = "first"}));
    options_.certificate.set(path("tls.crt"));
    options_.private_key.set(path("tls.key"));
  }
  [[nodiscard]] std::string path(const std::string& name) const { return pki_.folder() + "/" + name; }
  void install(const Identity& identity) {
    pki_.bundle("tls.crt", {identity.certificate});
    pki_.bundle("tls.key", {identity.key});
  }
  void require_clients() {
    pki_.bundle("ca.crt", {ca_.certificate});
    pki_.revocation_list("ca.crl", ca_, {});
    options_.ca_file.set(path("ca.crt"));
    options_.crl_file.set(path("ca.crl"));
  }
  // Whom a client meets.
  [[nodiscard]] static std::string server_name(const Credentials& credentials) {
    const ClientContext client_context(ClientOptions{});
    Connection connection(*credentials.current(), client_context);
    connection.run();
    return connection.client.session->peer();
  }
  static std::int64_t metric(const std::string& name) { return metrics::snapshot().value(name); }

  Pki pki_;
  Identity ca_ = pki_.authority({.name = "ca"});
  TlsOptions options_;
};

TEST_F(CredentialsTest, NewPair) {
  Credentials credentials(options_);
  const auto before = credentials.current();
  const std::int64_t reloads = metric("tls_reload"), swaps = metric("tls_swap");
  EXPECT_EQ(credentials.reload(options_.allow()), Reloaded::kUnchanged);
  EXPECT_EQ(credentials.current(), before);
  fs::last_write_time(path("tls.crt"), fs::file_time_type::clock::now());
  EXPECT_EQ(credentials.reload(options_.allow()), Reloaded::kUnchanged);  // contents count, not times
  EXPECT_EQ(server_name(credentials), "CN:first");
  install(pki_.issue(ca_, {.name = "second", .ends_sec = 5 * kDaySec}));
  EXPECT_EQ(server_name(credentials), "CN:first");
  EXPECT_EQ(credentials.reload(options_.allow()), Reloaded::kSwapped);
  EXPECT_EQ(server_name(credentials), "CN:second");
  EXPECT_EQ(metric("tls_reload"), reloads + 3);
  EXPECT_EQ(metric("tls_swap"), swaps + 1);
  EXPECT_EQ(metric("tls_certificate_not_after"), credentials.current()->not_after());
  EXPECT_GT(credentials.current()->not_after(), before->not_after() + 3 * kDaySec);
}

TEST_F(CredentialsTest, ChangeOfTrust) {
  require_clients();
  Credentials credentials(options_);
  const Identity web = pki_.issue(ca_, {.name = "web"});
  EXPECT_EQ(credentials.reload(options_.allow()), Reloaded::kUnchanged);
  pki_.revocation_list("ca.crl", ca_, {web});
  EXPECT_EQ(credentials.reload(options_.allow()), Reloaded::kTrustChanged);
  EXPECT_EQ(credentials.reload(options_.allow()), Reloaded::kUnchanged);
  EXPECT_EQ(metric("tls_crl_next_update"), credentials.current()->lists_end());
  const Identity added = pki_.authority({.name = "added"});
  pki_.bundle("ca.crt", {ca_.certificate, added.certificate});
  EXPECT_FALSE(credentials.reload(options_.allow()).has_value());  // the list of the new one is missing
  pki_.bundle("ca.crl", {pki_.revocation_list("a", ca_, {}), pki_.revocation_list("b", added, {})});
  EXPECT_EQ(credentials.reload(options_.allow()), Reloaded::kTrustChanged);
  const config::List allow = {"CN:web"};
  EXPECT_EQ(credentials.reload(allow), Reloaded::kTrustChanged);
  EXPECT_EQ(credentials.reload(allow), Reloaded::kUnchanged);
  install(pki_.issue(ca_, {.name = "second"}));
  EXPECT_EQ(credentials.reload(allow), Reloaded::kSwapped);
}

TEST_F(CredentialsTest, BrokenFilesChangeNothing) {
  require_clients();
  Credentials credentials(options_);
  const auto before = credentials.current();
  const std::int64_t errors = metric("tls_reload_ex"), reloads = metric("tls_reload");
  const Identity other = pki_.issue(ca_, {.name = "other"});
  const Identity late = pki_.issue(ca_, {.name = "late", .begins_sec = -kDaySec, .ends_sec = -60});
  struct Break {
    const char* words;
    std::function<void()> how;
  };
  const Break breaks[] = {
      {"tls.certificate: ", [&] { pki_.file("tls.crt", "half a certifi"); }},
      {"cannot be read", [&] { fs::remove(path("tls.crt")); }},
      {"is not the key", [&] { pki_.bundle("tls.crt", {other.certificate}); }},
      {"tls.private_key: ", [&] { pki_.file("tls.key", ""); }},
      {"has expired", [&] { install(late); }},
      {"tls.ca_file: ", [&] { pki_.file("ca.crt", "x"); }},
      {"tls.crl_file: ", [&] { pki_.file("ca.crl", "x"); }},
      {"out of date", [&] { pki_.revocation_list("ca.crl", ca_, {}, {.begins_sec = -kDaySec, .ends_sec = -60}); }},
      {"signed by none", [&] { pki_.revocation_list("ca.crl", pki_.authority({.name = "stranger"}), {}); }},
  };
  const Identity good = pki_.issue(ca_, {.name = "good"});
  std::int64_t count = 0;
  for (const Break& broken : breaks) {
    install(good);
    require_clients();
    broken.how();
    const auto result = credentials.reload(options_.allow());
    ASSERT_FALSE(result.has_value());
    EXPECT_NE(result.error().find(broken.words), std::string::npos) << result.error();
    EXPECT_EQ(result.error().find('\n'), std::string::npos);
    EXPECT_EQ(credentials.current(), before);
    EXPECT_EQ(metric("tls_reload_ex"), errors + ++count);
  }
  EXPECT_EQ(metric("tls_reload"), reloads);
  install(good);
  require_clients();
  EXPECT_EQ(credentials.reload(options_.allow()), Reloaded::kTrustChanged);  // a list is signed anew each time
}

TEST_F(CredentialsTest, ChangeOfTheAllowList) {
  require_clients();
  options_.allow.set({"CN:web"});
  Credentials credentials(options_);
  const auto clients_of = [this](const char* name) {
    const Identity identity = pki_.issue(ca_, {.name = name});
    return std::make_unique<ClientContext>(
        ClientOptions{.certificate_file = identity.certificate, .key_file = identity.key});
  };
  const auto web = clients_of("web"), batch = clients_of("batch");
  // "resumed", "in full", or why the client was refused.
  const auto visit = [&credentials](const ClientContext& clients) {
    Connection connection(*credentials.current(), clients, true);
    connection.run();
    const Session& session = *connection.server.session;
    return connection.server.established ? session.resumed() ? "resumed" : "in full" : name_of(session.failure().cause);
  };
  EXPECT_EQ(visit(*web), "in full"s);
  EXPECT_EQ(visit(*web), "resumed"s);
  EXPECT_EQ(visit(*batch), "not_allowed"s);
  EXPECT_EQ(credentials.reload(config::List{"CN:web", "CN:batch"}), Reloaded::kTrustChanged);
  EXPECT_EQ(visit(*web), "in full"s);  // tickets are void
  EXPECT_EQ(visit(*batch), "in full"s);
  EXPECT_EQ(credentials.reload(config::List{"CN:batch"}), Reloaded::kTrustChanged);
  EXPECT_EQ(visit(*web), "not_allowed"s);
  EXPECT_EQ(visit(*batch), "in full"s);
  EXPECT_EQ(visit(*batch), "resumed"s);
}

TEST_F(CredentialsTest, AWrongAllowListChangesNothing) {
  require_clients();
  options_.allow.set({"CN:web"});
  Credentials credentials(options_);
  const auto before = credentials.current();
  const std::int64_t errors = metric("tls_reload_ex");
  const struct {
    std::expected<config::List, std::string> allow;
    const char* words;
  } rows[] = {{config::List{"CN:web", "nonsense"}, "tls.allow: \"nonsense\""},
              {config::List{}, "tls.allow: is empty now"},
              {std::unexpected("a.toml:3: not valid TOML"), "a.toml:3: not valid TOML"}};
  std::int64_t count = 0;
  for (const auto& row : rows) {
    const auto result = credentials.reload(row.allow);
    ASSERT_FALSE(result.has_value()) << row.words;
    EXPECT_NE(result.error().find(row.words), std::string::npos) << result.error();
    EXPECT_EQ(credentials.current(), before);
    EXPECT_EQ(metric("tls_reload_ex"), errors + ++count);
    EXPECT_EQ(credentials.reload(options_.allow()), Reloaded::kUnchanged);
  }
}

TEST_F(CredentialsTest, AnAllowListNeedsAuthorities) {
  Credentials credentials(options_);
  const auto result = credentials.reload(config::List{"CN:web"});
  ASSERT_FALSE(result.has_value());
  EXPECT_NE(result.error().find("tls.allow: has no effect without ca_file"), std::string::npos) << result.error();
  EXPECT_EQ(credentials.reload(config::List{}), Reloaded::kUnchanged);
}

TEST_F(CredentialsTest, NeedsGoodFilesToBegin) {
  pki_.file("tls.key", "x");
  EXPECT_THROW(Credentials{options_}, std::runtime_error);
}

TEST_F(CredentialsTest, ClientsComeInWhileCertificatesChange) {
  Credentials credentials(options_);
  const Identity pairs[] = {pki_.issue(ca_, {.name = "a"}), pki_.issue(ca_, {.name = "b"})};
  std::jthread reloader([&](const std::stop_token& stop) {
    for (int i = 0; !stop.stop_requested(); ++i) {
      install(pairs[i % 2]);
      EXPECT_TRUE(credentials.reload(options_.allow()).has_value());
    }
  });
  const ClientContext client_context(ClientOptions{});
  for (int i = 0; i < 200; ++i) {
    Connection connection(*credentials.current(), client_context, i % 2 == 0);
    connection.run();
    ASSERT_TRUE(connection.established()) << connection.server.why() << connection.client.why();
  }
}

TEST_F(CredentialsTest, TwoPortsCountForThemselves) {
  TlsOptions admin_options("admin_tls");
  admin_options.certificate.set(path("tls.crt"));
  admin_options.private_key.set(path("tls.key"));
  Credentials credentials(options_), admin(admin_options);
  const std::int64_t reloads = metric("tls_reload"), admin_reloads = metric("admin_tls_reload");
  EXPECT_EQ(admin.reload(admin_options.allow()), Reloaded::kUnchanged);
  EXPECT_EQ(metric("tls_reload"), reloads);
  EXPECT_EQ(metric("admin_tls_reload"), admin_reloads + 1);
  EXPECT_EQ(metric("tls_certificate_not_after"), metric("admin_tls_certificate_not_after"));
}

TEST_F(CredentialsTest, DirectoriesOfPlainFiles) {
  require_clients();
  const Credentials credentials(options_);
  EXPECT_EQ(credentials.directories(), std::vector{fs::canonical(pki_.folder()).string()});
}

// As Kubernetes mounts a secret: tls.crt -> ..data/tls.crt, ..data -> ..2026_1; a new version swaps ..data.
TEST_F(CredentialsTest, DirectoriesBehindLinks) {
  const fs::path root = fs::canonical(pki_.folder()) / "mount";
  const auto version = [&](const std::string& name) {
    const Identity pair = pki_.issue(ca_, {.name = name});
    fs::create_directories(root / name);
    fs::copy(pair.certificate, root / name / "tls.crt");
    fs::copy(pair.key, root / name / "tls.key");
    fs::create_directory_symlink(name, root / "..tmp");
    fs::rename(root / "..tmp", root / "..data");
  };
  version("..2026_1");
  fs::create_symlink("..data/tls.crt", root / "tls.crt");
  fs::create_symlink("..data/tls.key", root / "tls.key");
  fs::create_directory_symlink("../mount/.", root / "self");
  fs::create_directory_symlink(root, root.parent_path() / "absolute");
  options_.certificate.set((root / "self" / "tls.crt").string());
  options_.private_key.set((root.parent_path() / "absolute" / "tls.key").string());
  Credentials credentials(options_);
  const auto expected = [&](const std::string& name) {
    return std::vector{root.parent_path().string(), root.string(), (root / name).string()};
  };
  EXPECT_EQ(credentials.directories(), expected("..2026_1"));
  version("..2026_2");
  EXPECT_EQ(credentials.directories(), expected("..2026_2"));
  EXPECT_EQ(credentials.reload(options_.allow()), Reloaded::kSwapped);
  EXPECT_EQ(server_name(credentials), "CN:..2026_2");
}

TEST_F(CredentialsTest, DirectoriesOfFilesThatAreGoneAndLinksInACircle) {
  const fs::path root = fs::canonical(pki_.folder());
  const Credentials credentials(options_);
  fs::remove(path("tls.crt"));
  EXPECT_EQ(credentials.directories(), std::vector{root.string()});
  fs::create_symlink("tls.crt", root / "tls.crt");
  EXPECT_EQ(credentials.directories(), std::vector{root.string()});
}

}  // namespace
}  // namespace pelikan::net::tls
