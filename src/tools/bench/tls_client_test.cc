// Whole runs over TLS against a small server in this process that sends its records in small pieces, and against one
// that wants a client certificate.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "net/tls/options.h"
#include "testing/pki/pki.h"
#include "tools/bench/load.h"
#include "tools/bench/report.h"
#include "tools/bench/tiny_server.h"

namespace pelikan::tools::bench {
namespace {

using pelikan::testing::Identity;

class TlsClient : public ::testing::Test {
 protected:
  [[nodiscard]] std::shared_ptr<const net::tls::Context> context(bool client_certificate) const {
    net::tls::TlsOptions options;
    options.certificate.set(server_.certificate);
    options.private_key.set(server_.key);
    if (client_certificate) options.ca_file.set(authority_.certificate);
    return net::tls::Context::load(options);
  }
  [[nodiscard]] Options tls_options(const TinyServer& server, const char* version) const {
    Options options = small(server);
    options.tls = true;
    options.tls_version = version;
    options.tls_files.ca = authority_.certificate;
    return options;
  }

  pelikan::testing::Pki pki_;
  Identity authority_ = pki_.authority("authority");
  Identity server_ = pki_.issue(authority_, {.name = "server", .san = {"IP:127.0.0.1"}});
  Identity client_ = pki_.issue(authority_, {.name = "client"});
  Identity stranger_ = pki_.self_signed({.name = "stranger"});
};

TEST_F(TlsClient, RepliesCutAnywhere) {
  for (const char* version : {"1.2", "1.3"}) {
    for (const std::size_t piece_bytes : {1u, 7u, 100'000u}) {
      for (const net::Engine engine : {net::Engine::kEpoll, net::Engine::kAuto}) {
        SCOPED_TRACE(std::string(version) + " in pieces of " + std::to_string(piece_bytes));
        const TinyServer server(TinyCache{}, context(false), piece_bytes);
        Options options = tls_options(server, version);
        options.engine = engine;
        options.fill = true;
        options.keys = 20;
        options.threads = 2;
        const Tally tally = run(options);
        EXPECT_EQ(tally.errors(), 0u) << table(options, tally);
        EXPECT_GT(tally.hits, 0u);
        EXPECT_EQ(tally.misses, 0u);
        EXPECT_TRUE(tally.cipher.starts_with("TLSv" + std::string(version) + " ")) << tally.cipher;
      }
    }
  }
}

TEST_F(TlsClient, ValuesOfManyRecordsInAnOpenLoop) {
  const TinyServer server(TinyCache{}, context(false));
  Options options = tls_options(server, "1.3");
  options.fill = true;
  options.keys = 10;
  options.value_bytes = 100'000;
  options.rate = 1000;
  const Tally tally = run(options);
  EXPECT_EQ(tally.errors(), 0u) << table(options, tally);
  EXPECT_EQ(tally.requests, tally.pace.sent);
  EXPECT_EQ(tally.misses, 0u);
}

TEST_F(TlsClient, Handshakes) {
  for (const char* version : {"1.2", "1.3"}) {
    for (const bool resume : {false, true}) {
      SCOPED_TRACE(version);
      const TinyServer server(TinyPing(0), context(true), 100);
      Options options = tls_options(server, version);
      options.tls_files.certificate = client_.certificate;
      options.tls_files.key = client_.key;
      options.handshakes = true;
      options.resume = resume;
      options.threads = 2;
      const Tally tally = run(options);
      EXPECT_EQ(tally.errors(), 0u) << table(options, tally);
      EXPECT_GT(tally.requests, 0u);
      EXPECT_EQ(tally.resumed, resume ? tally.requests : 0u);
    }
  }
}

TEST_F(TlsClient, AClientThatIsNotLetInSaysWhy) {
  for (const char* version : {"1.2", "1.3"}) {
    for (const bool handshakes : {false, true}) {
      for (const bool stranger : {false, true}) {
        SCOPED_TRACE(std::string(version) + (stranger ? " stranger" : " no certificate"));
        const TinyServer server(TinyPing(0), context(true));
        Options options = tls_options(server, version);
        options.protocol = Protocol::kPing;
        options.handshakes = handshakes;
        if (stranger) options.tls_files = {authority_.certificate, stranger_.certificate, stranger_.key};
        const Tally tally = run(options);
        EXPECT_EQ(tally.requests, 0u);
        // The alert may be overtaken by the reset that follows it.
        EXPECT_EQ(tally.errors(Trouble::kHandshake) + tally.errors(Trouble::kLost), handshakes ? 1u : 4u);
        const std::string& why = tally.first_trouble();
        EXPECT_TRUE(why.starts_with("TLS") || why.contains("--cert")) << why;
      }
    }
  }
}

TEST_F(TlsClient, ATargetThatIsNotTrusted) {
  const TinyServer server(TinyPing(0), context(false));
  Options options = tls_options(server, "");
  options.tls_files.ca = stranger_.certificate;
  const Tally tally = run(options);
  EXPECT_EQ(tally.errors(Trouble::kHandshake), 4u) << table(options, tally);
  EXPECT_TRUE(tally.first_trouble().starts_with("TLS handshake: ")) << tally.first_trouble();
}

TEST_F(TlsClient, FilesThatCannotBeUsed) {
  Options options;
  options.tls = true;
  options.tls_files.ca = "/nonexistent/file";
  EXPECT_THROW((void)run(options), UsageError);
  options.tls_files = {{}, client_.certificate, server_.key};
  EXPECT_THROW((void)run(options), UsageError);
}

}  // namespace
}  // namespace pelikan::tools::bench
