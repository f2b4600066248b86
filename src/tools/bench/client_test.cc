// Whole runs against a small server in this process, well-behaved or not, over TCP and a unix socket, with both
// engines. A run is bounded by its own deadline, and no test asserts a speed.
#include "tools/bench/load.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "net/socket.h"
#include "tools/bench/report.h"
#include "tools/bench/tiny_server.h"

namespace pelikan::tools::bench {
namespace {

TEST(Client, FillsAndMeasures) {
  const TinyServer server{TinyCache{}};
  for (const net::Engine engine : {net::Engine::kEpoll, net::Engine::kAuto}) {
    Options options = small(server);
    options.engine = engine;
    options.fill = true;
    const Tally tally = run(options);
    EXPECT_EQ(tally.errors(), 0u) << table({}, tally);
    EXPECT_GT(tally.requests, 0u);
    EXPECT_EQ(tally.misses, 0u);
    EXPECT_GT(tally.hits, 0u);
    EXPECT_GT(tally.seconds, 0.0);
  }
}

TEST(Client, MissesAndDeletes) {
  const TinyServer server{TinyCache{}};
  Options options = small(server);
  options.ratio = {50, 25, 25};
  options.zipf_exponent = 1;
  const Tally tally = run(options);
  EXPECT_EQ(tally.errors(), 0u) << table({}, tally);
  EXPECT_GT(tally.misses, 0u);
  EXPECT_GT(tally.hits, 0u);
}

TEST(Client, LargeValuesOverAUnixSocket) {
  const std::string path = testing::TempDir() + "bench." + std::to_string(getpid()) + ".sock";
  const TinyServer server(net::listen_unix(path, 0600, 16), TinyCache{});
  Options options = small(server);
  EXPECT_EQ(options.target.unix_path, path);
  options.keys = 4;
  options.pipeline = 1;
  options.value_bytes = 300'000;
  options.ratio = {50, 50, 0};
  const Tally tally = run(options);
  unlink(path.c_str());
  EXPECT_EQ(tally.errors(), 0u) << table({}, tally);
  EXPECT_GT(tally.requests, 0u);
}

TEST(Client, Ping) {
  const TinyServer server{TinyPing(0)};
  Options options = small(server);
  options.protocol = Protocol::kPing;
  const Tally tally = run(options);
  EXPECT_EQ(tally.errors(), 0u) << table({}, tally);
  EXPECT_GT(tally.requests, 0u);
}

TEST(Client, SeveralThreads) {
  const TinyServer server{TinyCache{}};
  Options options = small(server);
  options.threads = 3;
  options.fill = true;
  const Tally tally = run(options);
  EXPECT_EQ(tally.errors(), 0u) << table(options, tally);
  EXPECT_EQ(tally.misses, 0u) << "each thread has stored its part of the keys";
  EXPECT_GT(tally.hits, 0u);
}

TEST(Client, AnOpenLoopDoesNotWait) {
  for (const std::uint32_t threads : {1u, 2u}) {
    const TinyServer server{TinyPing(5)};
    Options options = small(server);
    options.protocol = Protocol::kPing;
    options.threads = threads;
    options.pipeline = 128;
    options.rate = 2000;
    options.duration = std::chrono::milliseconds(200);
    const Tally tally = run(options);
    EXPECT_EQ(tally.errors(), 0u) << table(options, tally);
    EXPECT_NEAR(static_cast<double>(tally.requests), 400, 100);
    EXPECT_EQ(tally.requests, tally.pace.sent);
    EXPECT_EQ(tally.pace.never_sent, 0u);
    EXPECT_GE(tally.seconds, 0.2);
  }
}

TEST(Client, AnOpenLoopFillsInClosedLoop) {
  const TinyServer server{TinyCache{}};
  Options options = small(server);
  options.fill = true;
  options.rate = 5000;
  const Tally tally = run(options);
  EXPECT_EQ(tally.errors(), 0u) << table(options, tally);
  EXPECT_EQ(tally.misses, 0u);
  EXPECT_GT(tally.hits, 0u);
}

TEST(Client, AnOpenLoopIsBounded) {
  const TinyServer server{TinyPing(1000)};  // so many never come
  Options options = small(server);
  options.protocol = Protocol::kPing;
  options.pipeline = 4;
  options.rate = 2000;
  const Tally tally = run(options);
  EXPECT_EQ(tally.pace.sent, 16u) << "4 on each of 4 connections";
  EXPECT_EQ(tally.errors(Trouble::kUnanswered), 16u);
  EXPECT_NEAR(static_cast<double>(tally.pace.never_sent), 84, 50);
  EXPECT_EQ(tally.requests, 0u);
}

TEST(Client, HandshakesOfTcp) {
  const TinyServer server{TinyPing(0)};
  for (const net::Engine engine : {net::Engine::kEpoll, net::Engine::kAuto}) {
    Options options = small(server);
    options.engine = engine;
    options.threads = 2;
    options.handshakes = true;
    const Tally tally = run(options);
    EXPECT_EQ(tally.errors(), 0u) << table(options, tally);
    EXPECT_GT(tally.requests, 0u);
    EXPECT_EQ(tally.resumed, 0u);
    EXPECT_GT(tally.percentile_us(0.5), 0.0);
  }
}

TEST(Client, HandshakesOverAUnixSocket) {
  const std::string path = testing::TempDir() + "handshakes." + std::to_string(getpid()) + ".sock";
  const TinyServer server(net::listen_unix(path, 0600, 1), TinyPing{0});
  Options options = small(server);
  options.handshakes = true;
  const Tally tally = run(options);
  unlink(path.c_str());
  EXPECT_EQ(tally.errors(), 0u) << table(options, tally);
  EXPECT_GT(tally.requests, 0u);
}

TEST(Client, TlsMeetsPlainText) {
  const struct {
    const char* name;
    Answer answer;
  } rows[] = {{"closes", [](std::string&, std::string&) { return false; }},
              {"answers", [](std::string&, std::string& output) {
                 output = "HTTP/1.1 400 Bad Request\r\n\r\n";
                 return true;
               }}};
  for (const auto& row : rows) {
    for (const bool handshakes : {false, true}) {
      SCOPED_TRACE(row.name);
      const TinyServer server(row.answer);
      Options options = small(server);
      options.tls = true;
      options.handshakes = handshakes;
      const Tally tally = run(options);
      EXPECT_EQ(tally.errors(Trouble::kHandshake), handshakes ? 1u : 4u) << table(options, tally);
      EXPECT_EQ(tally.errors(), tally.errors(Trouble::kHandshake));
      EXPECT_NE(tally.first_trouble().find("leave out --tls"), std::string::npos) << tally.first_trouble();
    }
  }
}

TEST(Client, PlainTextMeetsTls) {
  const TinyServer server([](std::string&, std::string& output) {
    output = std::string("\x15\x03\x03\x00\x02\x02\x0a", 7);  // fatal alert: unexpected message
    return false;
  });
  const Options options = small(server);
  const Tally tally = run(options);
  EXPECT_EQ(tally.errors(Trouble::kGarbage), 4u) << table(options, tally);
  EXPECT_NE(tally.first_trouble().find("add --tls"), std::string::npos) << tally.first_trouble();
}

TEST(Client, NobodyListens) {
  Options options;
  {
    const TinyServer server{TinyCache{}};
    options = small(server);
  }
  const Tally tally = run(options);
  EXPECT_EQ(tally.requests, 0u);
  EXPECT_EQ(tally.errors(Trouble::kNotConnected), 4u);
  EXPECT_NE(tally.first_trouble(), "");
  options.handshakes = true;
  EXPECT_EQ(run(options).errors(Trouble::kNotConnected), 1u);
  options.handshakes = false;
  options.rate = 1000;
  options.threads = 2;
  EXPECT_EQ(run(options).errors(Trouble::kNotConnected), 4u);
}

TEST(Client, TargetsThatMisbehave) {
  const struct {
    const char* name;
    Trouble trouble;
    Answer answer;
  } rows[] = {
      {"closes at once", Trouble::kLost, [](std::string&, std::string&) { return false; }},
      {"closes in mid reply", Trouble::kLost,
       [](std::string&, std::string& output) {
         output = "VALUE 0000";
         return false;
       }},
      {"answers garbage", Trouble::kGarbage,
       [](std::string&, std::string& output) {
         output = "HTTP/1.1 400 Bad Request\r\n\r\n";
         return true;
       }},
      {"never answers", Trouble::kUnanswered,
       [](std::string& input, std::string&) {
         input.clear();
         return true;
       }},
      {"always refuses", Trouble::kRefused,
       [](std::string& input, std::string& output) {
         for (std::size_t end = input.find('\n'); end != std::string::npos; end = input.find('\n')) {
           input.erase(0, end + 1);
           output += "SERVER_ERROR busy\r\n";
         }
         return true;
       }},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    const TinyServer server(row.answer);
    Options options = small(server);
    options.ratio = {1, 0, 0};
    const Tally tally = run(options);
    EXPECT_GT(tally.errors(row.trouble), 0u) << table({}, tally);
    EXPECT_EQ(tally.errors(), tally.errors(row.trouble)) << table({}, tally);
    EXPECT_EQ(tally.hits + tally.misses, 0u);
  }
}

}  // namespace
}  // namespace pelikan::tools::bench
