#include "protocol/admin/admin.h"

#include <algorithm>
#include <array>

namespace pelikan::protocol::admin {
namespace {

constexpr std::string_view kBlanks = " \t\r\v\f";

// Takes the next word off the front of `line`; empty at its end.
std::string_view next_word(std::string_view& line) noexcept {
  line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(kBlanks));
  line.remove_prefix(word.size());
  return word;
}

Command command_of(std::string_view line) noexcept {
  const std::string_view first = next_word(line);
  const std::string_view second = next_word(line);
  if (!next_word(line).empty()) return Command::kUnknown;
  if (first == "stats" && second == "segments") return Command::kStatsSegments;
  if (first == "stats" && second == "memory") return Command::kStatsMemory;
  if (!second.empty()) return Command::kUnknown;
  if (first == "stats") return Command::kStats;
  if (first == "version") return Command::kVersion;
  if (first == "flush_all") return Command::kFlushAll;
  if (first == "quit") return Command::kQuit;
  return Command::kUnknown;
}

}  // namespace

ParseResult parse(std::string_view bytes, Request& request) noexcept {
  const std::size_t end = bytes.substr(0, kMaxLineBytes).find('\n');
  if (end == std::string_view::npos) {
    return {bytes.size() < kMaxLineBytes ? ParseStatus::kNeedMore : ParseStatus::kInvalid, 0};
  }
  request.command = command_of(bytes.substr(0, end));
  return {ParseStatus::kDone, end + 1};
}

Dialect detect(std::string_view bytes) noexcept {
  constexpr std::array<std::string_view, 9> kMethods{"GET ",   "HEAD ",    "POST ",  "PUT ",    "DELETE ",
                                                     "PATCH ", "OPTIONS ", "TRACE ", "CONNECT "};
  constexpr std::string_view kTlsRecord = "\x16\x03";
  if (bytes.starts_with(kTlsRecord)) return Dialect::kTls;
  Dialect dialect = kTlsRecord.starts_with(bytes) ? Dialect::kUndecided : Dialect::kText;
  for (const std::string_view method : kMethods) {
    if (bytes.starts_with(method)) return Dialect::kHttp;
    if (method.starts_with(bytes)) dialect = Dialect::kUndecided;
  }
  return dialect;
}

}  // namespace pelikan::protocol::admin
