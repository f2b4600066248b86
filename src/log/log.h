// The log: one line per message, to stderr or to a file.
//
//   log::info("listening {}", address);
//   static log::Limit limit;                                 // one per place
//   log::limited(limit, log::Level::kWarn, "accept: {}", reason);
//
// Never per request: what may happen often is logged through limited().
// Owner:   the process. Threads: any.
// Limits:  a line has at most kMaxLineBytes; control characters in it are shown as '?', so a client cannot forge lines.
// Failure: logging neither throws nor waits. What cannot be written (disk full, pipe full) is dropped and counted in
//          log_dropped. A file that configure() cannot open throws config::Error; one that reopen() cannot open leaves
//          the log where it was, with an error line there.
#pragma once

#include <fmt/core.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "config/config.h"

namespace pelikan::log {

enum class Level : std::uint8_t { kTrace, kDebug, kInfo, kWarn, kError };

inline constexpr std::size_t kMaxLineBytes = 2048;

struct LogOptions : config::Section {
  LogOptions() : Section("debug") {}
  config::Option<std::string> log_level{this, "log_level", "info", "the least that is logged",
                                        config::OneOf{"error", "warn", "info", "debug", "trace"}};
  config::Option<std::string> log_file{this, "log_file", "", "file to append to; empty is stderr"};
};

// Until this is called, lines of level kInfo and above go to stderr.
void configure(const LogOptions& options);
// Opens the file anew, after logrotate has moved it away. False if that failed; then the old file stays in use.
bool reopen();

[[nodiscard]] bool enabled(Level level) noexcept;
void write(Level level, std::string_view message) noexcept;

// At most `per_second` lines per second; the first line after a silence says how many were left out.
class Limit {
 public:
  explicit constexpr Limit(std::uint32_t per_second = 5) noexcept : per_second_(per_second) {}
  // May a line be written in this second? `suppressed` becomes the number left out since the last line.
  [[nodiscard]] bool admit(std::uint64_t now_sec, std::uint64_t& suppressed) noexcept;
  [[nodiscard]] bool admit(std::uint64_t& suppressed) noexcept;

 private:
  const std::uint32_t per_second_;
  // Relaxed and independent: two threads at the turn of a second may together write a few lines more, never fewer.
  std::atomic<std::uint64_t> second_{0};
  std::atomic<std::uint32_t> written_{0};
  std::atomic<std::uint64_t> suppressed_{0};
};

// Logging must not end the server, so neither may formatting a message.
template <class... Arguments>
void write_formatted(Level level, std::uint64_t suppressed, fmt::format_string<Arguments...> format,
                     Arguments&&... arguments) noexcept {
  try {
    std::string message = fmt::format(format, std::forward<Arguments>(arguments)...);
    if (suppressed > 0) message += fmt::format(" ({} more like this were left out)", suppressed);
    write(level, message);
  } catch (...) {
    write(level, "a message could not be formatted");
  }
}

template <class... Arguments>
void debug(fmt::format_string<Arguments...> format, Arguments&&... arguments) noexcept {
  if (enabled(Level::kDebug)) write_formatted(Level::kDebug, 0, format, std::forward<Arguments>(arguments)...);
}
template <class... Arguments>
void info(fmt::format_string<Arguments...> format, Arguments&&... arguments) noexcept {
  if (enabled(Level::kInfo)) write_formatted(Level::kInfo, 0, format, std::forward<Arguments>(arguments)...);
}
template <class... Arguments>
void warn(fmt::format_string<Arguments...> format, Arguments&&... arguments) noexcept {
  if (enabled(Level::kWarn)) write_formatted(Level::kWarn, 0, format, std::forward<Arguments>(arguments)...);
}
template <class... Arguments>
void error(fmt::format_string<Arguments...> format, Arguments&&... arguments) noexcept {
  if (enabled(Level::kError)) write_formatted(Level::kError, 0, format, std::forward<Arguments>(arguments)...);
}
template <class... Arguments>
void limited(Limit& limit, Level level, fmt::format_string<Arguments...> format, Arguments&&... arguments) noexcept {
  std::uint64_t suppressed = 0;
  if (enabled(level) && limit.admit(suppressed)) {
    write_formatted(level, suppressed, format, std::forward<Arguments>(arguments)...);
  }
}

}  // namespace pelikan::log
