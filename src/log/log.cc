#include "log/log.h"

#include <fcntl.h>
#include <poll.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <memory>
#include <mutex>
#include <optional>

#include "metrics/metrics.h"

namespace pelikan::log {
namespace {

static_assert(kMaxLineBytes + 256 < 4096,
              "a pipe that poll() calls writable takes a whole line (PIPE_BUF) without waiting");

// Written under the sink's mutex, which makes it one writer.
struct LogMetrics : metrics::Group {
  metrics::Counter written{this, "log_written", "log lines written"};
  metrics::Counter dropped{this, "log_dropped", "log lines that could not be written"};
};

class DescriptorSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  // Gives an errno when the file cannot be opened; then nothing changes. An empty path is stderr.
  int open(const std::string& path) {
    int fd = STDERR_FILENO;
    if (!path.empty()) {
      fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);
      if (fd < 0) return errno;
    }
    const std::lock_guard lock(mutex_);
    close_file();
    fd_ = fd;
    path_ = path;
    return 0;
  }

  int reopen() {
    std::string path;
    {
      const std::lock_guard lock(mutex_);
      path = path_;
    }
    return open(path);
  }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    pollfd ready{fd_, POLLOUT, 0};
    const bool whole = ::poll(&ready, 1, 0) == 1 && ready.revents == POLLOUT &&
                       ::write(fd_, line.data(), line.size()) == static_cast<ssize_t>(line.size());
    (whole ? metrics_.written : metrics_.dropped).add();
  }
  void flush_() override {}

  void close_file() {
    if (fd_ != STDERR_FILENO) ::close(fd_);
  }

  // All guarded by the base's mutex_.
  int fd_ = STDERR_FILENO;
  std::string path_;
  LogMetrics metrics_;
};

struct Log {
  std::shared_ptr<DescriptorSink> sink = std::make_shared<DescriptorSink>();
  spdlog::logger logger{"pelikan", sink};
  Log() {
    logger.set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l [%t] %v");
    logger.set_level(spdlog::level::info);
  }
};

// Never destroyed: threads and static objects may log until the very end.
Log& instance() {
  static Log* const log = new Log;
  return *log;
}

spdlog::level::level_enum spdlog_level(Level level) noexcept {
  switch (level) {
    case Level::kTrace: return spdlog::level::trace;
    case Level::kDebug: return spdlog::level::debug;
    case Level::kInfo: return spdlog::level::info;
    case Level::kWarn: return spdlog::level::warn;
    case Level::kError: return spdlog::level::err;
  }
  return spdlog::level::err;
}

Level named_level(std::string_view name) noexcept {
  if (name == "trace") return Level::kTrace;
  if (name == "debug") return Level::kDebug;
  if (name == "warn") return Level::kWarn;
  if (name == "error") return Level::kError;
  return Level::kInfo;
}

}  // namespace

void configure(const LogOptions& options) {
  instance().logger.set_level(spdlog_level(named_level(options.log_level())));
  const int failed = instance().sink->open(options.log_file());
  if (failed != 0)
    throw config::Error(fmt::format("debug.log_file = {}: {}", options.log_file(), std::strerror(failed)));
}

bool reopen() {
  const int failed = instance().sink->reopen();
  if (failed != 0) error("log file cannot be opened anew: {}; the old one stays in use", std::strerror(failed));
  return failed == 0;
}

bool enabled(Level level) noexcept { return instance().logger.should_log(spdlog_level(level)); }

void write(Level level, std::string_view message) noexcept {
  std::string line(
      message.substr(0, kMaxLineBytes));  // within noexcept: without memory for a line there is no going on
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  instance().logger.log(spdlog_level(level), spdlog::string_view_t(line.data(), line.size()));
}

bool Limit::admit(std::uint64_t now_sec, std::uint64_t& suppressed) noexcept {
  if (second_.exchange(now_sec, std::memory_order_relaxed) != now_sec) written_.store(0, std::memory_order_relaxed);
  if (written_.load(std::memory_order_relaxed) >= per_second_) {
    suppressed_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  written_.fetch_add(1, std::memory_order_relaxed);
  suppressed = suppressed_.exchange(0, std::memory_order_relaxed);
  return true;
}

bool Limit::admit(std::uint64_t& suppressed) noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return admit(static_cast<std::uint64_t>(now.tv_sec) + 1, suppressed);
}

}  // namespace pelikan::log
