// The admin port's text commands: a line each, ended by \n or \r\n, words separated by any blanks.
#pragma once

#include <cstdint>
#include <string_view>

#include "protocol/protocol.h"

namespace pelikan::protocol::admin {

inline constexpr std::size_t kMaxLineBytes = 1024;

enum class Command : std::uint8_t { kUnknown, kStats, kStatsSegments, kStatsMemory, kVersion, kFlushAll, kQuit };

struct Request {
  Command command = Command::kUnknown;
};

// One line from the front of `bytes`. kInvalid: the line is longer than kMaxLineBytes.
[[nodiscard]] ParseResult parse(std::string_view bytes, Request& request) noexcept;

enum class Dialect : std::uint8_t { kUndecided, kText, kHttp, kTls };

// What the first bytes of a connection say: HTTP begins with a method in capitals, text commands are in small letters,
// TLS with the header of a handshake record.
// At most eight bytes are needed to decide.
[[nodiscard]] Dialect detect(std::string_view bytes) noexcept;

}  // namespace pelikan::protocol::admin
