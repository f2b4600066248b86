// Every option's text: what is taken, and what is refused with a message that says why.
#include "tools/bench/options.h"

#include <gtest/gtest.h>

#include <vector>

namespace pelikan::tools::bench {
namespace {

Options parse(std::vector<const char*> words) {
  words.insert(words.begin(), {"pelikan-bench", "--target", "127.0.0.1:12321"});
  return parse_options(static_cast<int>(words.size()), words.data()).options.value();
}

TEST(Options, Defaults) {
  const Options options = parse({});
  EXPECT_EQ(options.target.host, "127.0.0.1");
  EXPECT_EQ(options.target.port, 12321);
  EXPECT_EQ(options.protocol, Protocol::kMemcache);
  EXPECT_EQ(options.pipeline, 1u);
  EXPECT_EQ(options.duration, std::chrono::seconds(5));
  EXPECT_EQ(options.ratio, (std::array<std::uint32_t, 3>{90, 10, 0}));
  EXPECT_EQ(options.threads, 1u);
  EXPECT_FALSE(options.fill || options.json || options.target_pid || options.rate);
  EXPECT_FALSE(options.tls || options.handshakes || options.resume);
}

TEST(Options, AllGiven) {
  const Options options =
      parse({"--protocol", "memcache", "--connections",  "3",         "--threads",  "3",      "--pipeline",   "16",
             "--duration", "250ms",    "--keys",         "1000",      "--key-size", "20",     "--value-size", "0",
             "--ratio",    "set:1",    "--distribution", "zipf:0.99", "--fill",     "--json", "--target-pid", "7"});
  EXPECT_EQ(options.connections, 3u);
  EXPECT_EQ(options.threads, 3u);
  EXPECT_EQ(options.pipeline, 16u);
  EXPECT_EQ(options.duration, std::chrono::milliseconds(250));
  EXPECT_EQ(options.keys, 1000u);
  EXPECT_EQ(options.key_bytes, 20u);
  EXPECT_EQ(options.value_bytes, 0u);
  EXPECT_EQ(options.ratio, (std::array<std::uint32_t, 3>{0, 1, 0}));
  EXPECT_DOUBLE_EQ(options.zipf_exponent, 0.99);
  EXPECT_TRUE(options.fill && options.json);
  EXPECT_EQ(options.target_pid, 7);
}

TEST(Options, HelpIsText) {
  const char* words[] = {"pelikan-bench", "--help"};
  const Invocation invocation = parse_options(2, words);
  EXPECT_FALSE(invocation.options);
  EXPECT_NE(invocation.text.find("--pipeline"), std::string::npos);
}

TEST(Options, Refused) {
  const std::vector<const char*> rows[] = {
      {"--threads", "0"},
      {"--threads", "257", "--connections", "1000"},
      {"--threads", "3", "--connections", "2"},
      {"--rate", "0"},
      {"--rate", "-1"},
      {"--rate", "1k"},
      {"--rate", "nan"},
      {"--rate", "100000001"},
      {"--connections", "0"},
      {"--connections", "100001"},
      {"--pipeline", "0"},
      {"--pipeline", "-1"},
      {"--keys", "0"},
      {"--keys", "4000000001"},
      {"--key-size", "0"},
      {"--key-size", "251"},
      {"--key-size", "5"},
      {"--value-size", "67108865"},
      {"--duration", "5"},
      {"--duration", "0s"},
      {"--duration", "x"},
      {"--duration", "1h"},
      {"--duration", "-1s"},
      {"--duration", "nans"},
      {"--duration", "999999999s"},
      {"--multiget", "0"},
      {"--protocol", "echo", "--fill"},
      {"--echo", "0:1"},
      {"--echo", "1:0"},
      {"--echo", "12"},
      {"--echo", ":"},
      {"--echo", "1:1048577"},
      {"--echo", "1:1x"},
      {"--echo-server", "0"},
      {"--multiget", "1001"},
      {"--multiget", "2", "--protocol", "meta"},
      {"--multiget", "1000", "--pipeline", "1001"},
      {"--protocol", "gopher"},
      {"--target-pid", "0"},
      {"--distribution", "zipf"},
      {"--distribution", "zipf:0"},
      {"--ratio", "get"},
      {"--ratio", "get:1,"},
      {"--ratio", "get:0"},
      {"--distribution", "zipf:1x"},
      {"--ratio", "touch:1"},
      {"--ratio", "get:-1"},
      {"--ratio", ""},
      {"--distribution", "zipf:11"},
      {"--engine", "kqueue"},
      {"--what"},
      {"more"},
      {"--protocol", "ping", "--fill"},
  };
  for (const auto& row : rows) EXPECT_THROW((void)parse(row), UsageError) << row.front() << " " << row.back();
}

TEST(Options, OpenLoop) {
  const Options options = parse({"--rate", "2500.5"});
  EXPECT_DOUBLE_EQ(options.rate.value(), 2500.5);
  EXPECT_EQ(options.pipeline, 128u) << "under way at most";
  EXPECT_EQ(parse({"--rate", "10", "--pipeline", "1"}).pipeline, 1u);
}

TEST(Options, EchoServer) {
  const auto serve = [](const char* where) {
    const char* words[] = {"pelikan-bench", "--echo-server", where, "--echo", "30:1000"};
    return parse_options(5, words).options.value();
  };
  EXPECT_EQ(serve("0").echo_server->host, "127.0.0.1");
  EXPECT_EQ(serve("0").echo_server->port, 0);
  EXPECT_EQ(serve("localhost:77").echo_server->host, "localhost");
  EXPECT_EQ(serve("localhost:77").echo_server->port, 77);
  EXPECT_EQ(serve("0").echo.request_bytes, 30u);
  EXPECT_EQ(serve("0").echo.reply_bytes, 1000u);
  for (const auto* where : {"x", ":1", "65536", "a:"}) EXPECT_THROW((void)serve(where), UsageError) << where;
  const char* nothing[] = {"pelikan-bench"};
  EXPECT_THROW((void)parse_options(1, nothing), UsageError);
}

TEST(Options, Tls) {
  const Options options = parse({"--tls", "--ca", "a", "--cert", "c", "--key", "k", "--tls-version", "1.2"});
  EXPECT_TRUE(options.tls);
  EXPECT_EQ(options.tls_files.ca, "a");
  EXPECT_EQ(options.tls_files.certificate, "c");
  EXPECT_EQ(options.tls_files.key, "k");
  EXPECT_EQ(options.tls_version, "1.2");
  const Options handshakes = parse({"--tls", "--handshakes", "--resume"});
  EXPECT_TRUE(handshakes.handshakes && handshakes.resume);
  EXPECT_TRUE(parse({"--handshakes"}).handshakes) << "of TCP";
}

TEST(Options, WhatDoesNotGoTogetherNamesTheFix) {
  const std::pair<std::vector<const char*>, const char*> rows[] = {
      {{"--ca", "a"}, "--ca: only with TLS; add --tls"},
      {{"--cert", "a", "--key", "b"}, "--cert: only with TLS; add --tls"},
      {{"--key", "b"}, "--key: only with TLS; add --tls"},
      {{"--tls-version", "1.3"}, "--tls-version: only with TLS; add --tls"},
      {{"--handshakes", "--resume"}, "--resume: only with TLS; add --tls"},
      {{"--tls", "--cert", "a"}, "--cert: a client certificate needs both; add --key FILE"},
      {{"--tls", "--key", "a"}, "--key: a client certificate needs both; add --cert FILE"},
      {{"--tls", "--tls-version", "1.1"}, "--tls-version: `1.1` is not 1.2 or 1.3"},
      {{"--tls", "--resume"}, "--resume: only with --handshakes; add it"},
      {{"--handshakes", "--rate", "5"}, "--rate: --handshakes sends no requests; leave it out"},
      {{"--handshakes", "--fill"}, "--fill: --handshakes sends no requests; leave it out"},
      {{"--threads", "64"}, "--threads: each needs a connection of its own; raise --connections to 64"},
  };
  for (const auto& [words, message] : rows) {
    try {
      (void)parse(words);
      ADD_FAILURE() << "taken: " << message;
    } catch (const UsageError& error) {
      EXPECT_STREQ(error.what(), message);
    }
  }
}

TEST(Options, Targets) {
  EXPECT_EQ(parse_target("localhost:1").host, "localhost");
  EXPECT_EQ(parse_target("[::1]:65535").host, "::1");
  EXPECT_EQ(parse_target("[::1]:65535").port, 65535);
  EXPECT_EQ(parse_target("unix:/run/a:b").unix_path, "/run/a:b");
  for (const auto* text :
       {"", ":", "host", "host:", ":1", "host:0", "host:65536", "host:1x", "::1:11211", "unix:", "[]:1"}) {
    EXPECT_THROW((void)parse_target(text), UsageError) << text;
  }
}

}  // namespace
}  // namespace pelikan::tools::bench
