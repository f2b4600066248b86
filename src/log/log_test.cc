// The log: what lands in a file, what never harms the server, how often one place may write.
#include "log/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include "metrics/metrics.h"

namespace pelikan::log {
namespace {

class LogTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "pelikan_log_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    use(folder_ / "log");
  }
  void TearDown() override {
    configure(LogOptions());
    std::filesystem::remove_all(folder_);
  }
  static void use(const std::filesystem::path& file, const char* level = "info") {
    LogOptions options;
    options.log_file.set(file.string());
    options.log_level.set(level);
    configure(options);
  }
  std::string content(const char* name = "log") const {
    std::ifstream in(folder_ / name);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
  }
  std::filesystem::path folder_;
};

std::size_t lines(std::string_view text) { return static_cast<std::size_t>(std::ranges::count(text, '\n')); }

TEST_F(LogTest, WritesLinesOfTheLevelAndAbove) {
  debug("hidden {}", 1);
  info("shown {}", 2);
  warn("warned {}", "x");
  error("failed");
  EXPECT_EQ(lines(content()), 3U);
  EXPECT_NE(content().find(" info ["), std::string::npos);
  EXPECT_NE(content().find("] shown 2\n"), std::string::npos);
  EXPECT_EQ(content().find("hidden"), std::string::npos);
  use(folder_ / "log", "debug");
  debug("now {}", 3);
  EXPECT_NE(content().find("now 3"), std::string::npos);
}

TEST_F(LogTest, ALineStaysOneLineAndShort) {
  info("{}", "a\r\nforged\x1b[0m");
  EXPECT_EQ(lines(content()), 1U);
  EXPECT_NE(content().find("a??forged?[0m"), std::string::npos);
  info("{}", std::string(100'000, 'x'));
  EXPECT_LT(content().size(), kMaxLineBytes + 300);
}

TEST_F(LogTest, ReopensAfterTheFileWasMoved) {
  info("one");
  std::filesystem::rename(folder_ / "log", folder_ / "log.1");
  info("two");
  EXPECT_TRUE(reopen());
  info("three");
  EXPECT_EQ(lines(content("log.1")), 2U);
  EXPECT_EQ(lines(content()), 1U);
}

TEST_F(LogTest, AFileThatCannotBeOpenedIsAnErrorAtStart) {
  EXPECT_THROW(use(folder_ / "no" / "such" / "folder"), config::Error);
  info("still here");
  EXPECT_NE(content().find("still here"), std::string::npos);
}

TEST_F(LogTest, AFileThatCannotBeOpenedAnewLeavesTheLogWhereItWas) {
  std::filesystem::rename(folder_ / "log", folder_ / "moved");
  std::filesystem::create_directory(folder_ / "log");
  EXPECT_FALSE(reopen());
  info("and still");
  EXPECT_NE(content("moved").find("and still"), std::string::npos);
}

TEST_F(LogTest, AFullDiskIsCountedNotFelt) {
  use("/dev/full");
  const std::int64_t before = metrics::snapshot().value("log_dropped");
  for (int i = 0; i < 10; ++i) info("line {}", i);
  EXPECT_EQ(metrics::snapshot().value("log_dropped"), before + 10);
}

TEST_F(LogTest, AReaderThatStoppedIsNotWaitedFor) {
  const std::filesystem::path pipe = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  use(pipe);
  const std::int64_t before = metrics::snapshot().value("log_dropped");
  for (int i = 0; i < 2000; ++i) info("{}", std::string(1000, 'x'));
  EXPECT_GT(metrics::snapshot().value("log_dropped"), before);
  ::close(reader);
}

TEST_F(LogTest, ThreadsDoNotMixTheirLines) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([] {
      for (int i = 0; i < 200; ++i) info("<{}>", std::string(50, 'y'));
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::string text = content();
  EXPECT_EQ(lines(text), 800U);
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) EXPECT_TRUE(line.ends_with("<" + std::string(50, 'y') + ">"));
}

TEST_F(LogTest, LimitedWritesAtMostSoManyLinesPerSecond) {
  static Limit limit(3);
  for (int i = 0; i < 100; ++i) limited(limit, Level::kWarn, "again {}", i);
  EXPECT_LE(lines(content()), 6U);  // the second may turn in between
  EXPECT_GE(lines(content()), 3U);
}

TEST(Limit, CountsWhatItLeavesOut) {
  Limit limit(2);
  std::uint64_t suppressed = 0;
  EXPECT_TRUE(limit.admit(10, suppressed));
  EXPECT_TRUE(limit.admit(10, suppressed));
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(limit.admit(10, suppressed));
  EXPECT_TRUE(limit.admit(11, suppressed));
  EXPECT_EQ(suppressed, 5U);
  EXPECT_TRUE(limit.admit(11, suppressed));
  EXPECT_EQ(suppressed, 0U);
}

}  // namespace
}  // namespace pelikan::log
