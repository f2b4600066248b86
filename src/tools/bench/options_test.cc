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
  EXPECT_FALSE(options.fill || options.json || options.target_pid);
}

TEST(Options, AllGiven) {
  const Options options =
      parse({"--protocol", "memcache", "--connections",  "3",         "--threads",  "1",      "--pipeline",   "16",
             "--duration", "250ms",    "--keys",         "1000",      "--key-size", "20",     "--value-size", "0",
             "--ratio",    "set:1",    "--distribution", "zipf:0.99", "--fill",     "--json", "--target-pid", "7"});
  EXPECT_EQ(options.connections, 3u);
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
      {"--threads", "2"},
      {"--threads", "0"},
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
      {"--protocol", "resp"},
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
