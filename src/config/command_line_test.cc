// The command line: a table of arguments and what comes of them.
#include "config/command_line.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace pelikan::config {
namespace {

struct ServerOptions : Section {
  ServerOptions() : Section("server") {}
  Option<std::uint64_t> port{this, "port", 12321, "port to listen on", Range{0, 65535}};
  Ignored nevent{this, "nevent", "the event loop sizes itself"};
};

struct Outcome {
  Invocation invocation;
  std::uint64_t port = 0;
};

Outcome run(std::vector<const char*> arguments) {
  ServerOptions server;
  Config config{server};
  arguments.insert(arguments.begin(), "binary");
  Outcome outcome;
  outcome.invocation = parse_command_line(static_cast<int>(arguments.size()), arguments.data(),
                                          {"pelikan-test", "1.2.3", "a test"}, config);
  outcome.port = server.port();
  return outcome;
}

class CommandLine : public testing::Test {
 protected:
  void SetUp() override { std::ofstream(file_) << "[server]\nport = 5\nnevent = 1\n"; }
  void TearDown() override { std::filesystem::remove(file_); }
  std::string file_ = testing::TempDir() + "pelikan_command_line_test.toml";
};

TEST_F(CommandLine, RunsWithFileThenSets) {
  EXPECT_EQ(run({}).invocation.action, Action::kRun);
  EXPECT_EQ(run({}).port, 12321U);
  EXPECT_EQ(run({file_.c_str()}).port, 5U);
  EXPECT_EQ(run({"--set", "server.port=6", file_.c_str(), "--set", "server.port=7"}).port, 7U);
  EXPECT_EQ(run({"--set=server.port=8"}).port, 8U);
  EXPECT_EQ(run({"--list-metrics"}).invocation.action, Action::kListMetrics);
}

TEST_F(CommandLine, PrintsAndEnds) {
  EXPECT_EQ(run({"--version"}).invocation.text, "pelikan-test 1.2.3\n");
  const std::string help = run({"--help"}).invocation.text;
  EXPECT_NE(help.find("--print-config"), std::string::npos);
  EXPECT_NE(help.find("server.port"), std::string::npos);
  EXPECT_NE(help.find("port to listen on"), std::string::npos);
  EXPECT_NE(run({file_.c_str(), "--print-config"}).invocation.text.find("port = 5\n"), std::string::npos);
  const std::string checked = run({file_.c_str(), "--check"}).invocation.text;
  EXPECT_NE(checked.find("nevent is ignored: the event loop sizes itself\n"), std::string::npos);
  EXPECT_TRUE(checked.ends_with("the settings are good\n"));
  EXPECT_EQ(run({"--version"}).invocation.action, Action::kPrint);
}

TEST_F(CommandLine, RefusesInOneLine) {
  const std::vector<std::vector<const char*>> refused{{"--nosuch"},       {"--set"},
                                                      {"--set", "x"},     {"a.toml", "b.toml"},
                                                      {"/no/such/file"},  {"--set", "server.port=x"},
                                                      {"--set", "a.b=1"}, {"-x"}};
  for (const auto& arguments : refused) {
    try {
      (void)run(arguments);
      ADD_FAILURE() << arguments.front();
    } catch (const Error& error) {
      EXPECT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace pelikan::config
