// One piece of a reply. A request is answered by none (noreply), one, or many: a multi-get gives a kValue per hit and
// then kEnd. The views need to hold only until compose() returns.
#pragma once

#include <cstdint>
#include <string_view>

namespace pelikan::protocol::memcache {

// Fixed lines, whole.
inline constexpr std::string_view kEnd = "END\r\n";
inline constexpr std::string_view kStored = "STORED\r\n";
inline constexpr std::string_view kNotStored = "NOT_STORED\r\n";
inline constexpr std::string_view kExists = "EXISTS\r\n";
inline constexpr std::string_view kNotFound = "NOT_FOUND\r\n";
inline constexpr std::string_view kDeleted = "DELETED\r\n";
inline constexpr std::string_view kTouched = "TOUCHED\r\n";
inline constexpr std::string_view kOk = "OK\r\n";
inline constexpr std::string_view kReset = "RESET\r\n";
inline constexpr std::string_view kError = "ERROR\r\n";
inline constexpr std::string_view kBadFormat = "CLIENT_ERROR bad command line format\r\n";
inline constexpr std::string_view kBadLine = "CLIENT_ERROR bad command line\r\n";
inline constexpr std::string_view kBadChunk = "CLIENT_ERROR bad data chunk\r\n";
inline constexpr std::string_view kBadExptime = "CLIENT_ERROR invalid exptime argument\r\n";
inline constexpr std::string_view kBadDelta = "CLIENT_ERROR invalid numeric delta argument\r\n";
inline constexpr std::string_view kNonNumeric = "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n";
inline constexpr std::string_view kBadShutdownMode = "CLIENT_ERROR invalid shutdown mode\r\n";
inline constexpr std::string_view kBadDetail = "CLIENT_ERROR usage: stats detail on|off|dump\r\n";
inline constexpr std::string_view kIllegalSlab = "CLIENT_ERROR Illegal slab id\r\n";
inline constexpr std::string_view kTooLarge = "SERVER_ERROR object too large for cache\r\n";
inline constexpr std::string_view kNoMemoryStoring = "SERVER_ERROR out of memory storing object\r\n";
inline constexpr std::string_view kNoMemory = "SERVER_ERROR out of memory\r\n";
inline constexpr std::string_view kShutdownDisabled = "SERVER_ERROR: shutdown not enabled\r\n";
inline constexpr std::string_view kMemlimitTooSmall = "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m\r\n";
inline constexpr std::string_view kMemlimitNotMegabytes =
    "MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes\r\n";
inline constexpr std::string_view kMemlimitFailed = "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust\r\n";

struct Response {
  //   kText      text as it is
  //   kValue     VALUE <key> <flags> <bytes>\r\n<text>\r\n, and with `last` END\r\n
  //   kValueCas  the same with the token (number) on the line
  //   kNumber    <number>\r\n
  //   kVersion   VERSION <text>\r\n
  //   kStat      STAT <key> <text>\r\n
  //   kStatNumber STAT <key> <number>\r\n
  //   kBinary    a whole response of the binary protocol: unknown command; number as in Request
  enum class Kind : std::uint8_t { kText, kValue, kValueCas, kNumber, kVersion, kStat, kStatNumber, kBinary };

  Kind kind = Kind::kText;
  std::uint32_t flags = 0;
  std::uint64_t number = 0;
  std::string_view key = {};
  std::string_view text = {};
  bool last = false;  // kValue, kValueCas: nothing follows of that reply

  static Response line(std::string_view whole_line) noexcept { return {.text = whole_line}; }
  static Response of_number(std::uint64_t number) noexcept { return {.kind = Kind::kNumber, .number = number}; }
  static Response stat(std::string_view name, std::string_view value) noexcept {
    return {.kind = Kind::kStat, .key = name, .text = value};
  }
  static Response stat(std::string_view name, std::uint64_t value) noexcept {
    return {.kind = Kind::kStatNumber, .number = value, .key = name};
  }
};

}  // namespace pelikan::protocol::memcache
