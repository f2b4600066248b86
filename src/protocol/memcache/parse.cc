#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "base/bytes.h"
#include "base/scan.h"
#include "protocol/memcache/memcache.h"

namespace pelikan::protocol::memcache {
namespace {

constexpr char kBinaryRequestMagic = '\x80';
constexpr std::size_t kBinaryHeaderBytes = 24;
// With its terminator; a shorter line is not even looked at.
constexpr std::size_t kShortestLineBytes = 4;
// Blanks before the command that still let a long line count as a read.
constexpr std::size_t kLeadingBlanksMax = 100;
// The length of a data block and its \r\n fit a signed 32-bit number.
constexpr std::int32_t kDataBytesMax = std::numeric_limits<std::int32_t>::max() - 2;

struct Name {
  std::string_view text;
  Command command;
};
// The frequent ones first: this is searched from the top.
constexpr std::array<Name, 23> kNames{{
    {"get", Command::kGet},
    {"set", Command::kSet},
    {"gets", Command::kGets},
    {"delete", Command::kDelete},
    {"incr", Command::kIncr},
    {"add", Command::kAdd},
    {"cas", Command::kCas},
    {"decr", Command::kDecr},
    {"touch", Command::kTouch},
    {"gat", Command::kGat},
    {"gats", Command::kGats},
    {"replace", Command::kReplace},
    {"append", Command::kAppend},
    {"prepend", Command::kPrepend},
    {"appendrl", Command::kAppendrl},
    {"prependrl", Command::kPrependrl},
    {"version", Command::kVersion},
    {"stats", Command::kStats},
    {"quit", Command::kQuit},
    {"flush_all", Command::kFlushAll},
    {"verbosity", Command::kVerbosity},
    {"cache_memlimit", Command::kCacheMemlimit},
    {"shutdown", Command::kShutdown},
}};

Command find_command(std::string_view name) noexcept {
  for (const Name& known : kNames) {
    if (known.text == name) return known.command;
  }
  return Command::kUnknown;
}

// The words of a line, separated by blanks and nothing else.
class Words {
 public:
  explicit Words(std::string_view line) noexcept : rest_(line) {}

  // The next word, empty at the end of the line.
  std::string_view next() noexcept {
    skip_blanks();
    std::size_t end = find_blank_or_control(rest_);
    while (end < rest_.size() && rest_[end] != ' ') end = find_blank_or_control(rest_, end + 1);
    const std::string_view word = rest_.substr(0, end);
    rest_.remove_prefix(end);
    return word;
  }
  // What follows the next blanks.
  std::string_view rest() noexcept {
    skip_blanks();
    return rest_;
  }

 private:
  void skip_blanks() noexcept {
    while (rest_.starts_with(' ')) rest_.remove_prefix(1);
  }

  std::string_view rest_;
};

// --- the two requests that are sent most, in the form that clients give them: one blank between words, no noreply ----
// In one pass over the line. Whatever is not exactly so is left to the general way (kNotPlain), which would give the
// same answer to these, too.
constexpr ParseResult kNotPlain{ParseStatus::kInvalid, 0};
bool plain(const ParseResult& result) noexcept { return result.status != ParseStatus::kInvalid; }

// Up to nine digits, so that every number fits 32 bits. `at` goes behind them.
bool take_digits(std::string_view bytes, std::size_t& at, std::uint32_t& value) noexcept {
  constexpr std::size_t kDigitsMax = 9;
  const std::size_t begin = at;
  value = 0;
  while (at < bytes.size() && bytes[at] >= '0' && bytes[at] <= '9' && at - begin < kDigitsMax) {
    value = value * 10 + static_cast<std::uint32_t>(bytes[at++] - '0');
  }
  return at != begin;
}

// `wanted` is a literal, so that it is compared in a register.
template <std::size_t N>
bool take(std::string_view bytes, std::size_t& at, const char (&wanted)[N]) noexcept {
  constexpr std::size_t kCount = N - 1;
  const bool there = bytes.size() - at >= kCount && std::memcmp(bytes.data() + at, wanted, kCount) == 0;
  if (there) at += kCount;
  return there;
}

// It is not looked for farther than a key may reach: a line that comes byte by byte is looked at again for each.
bool take_key(std::string_view bytes, std::size_t& at, std::string_view& key) noexcept {
  const std::size_t end = find_blank_or_control(bytes.substr(0, at + kKeyBytesMax + 1), at);
  key = bytes.substr(at, end - at);
  at = end;
  return !key.empty() && key.size() <= kKeyBytesMax;
}

ParseResult parse_plain_get(std::string_view bytes, Request& request) noexcept {
  std::size_t at = 0;
  if (!take(bytes, at, "get ") || !take_key(bytes, at, request.key) || !take(bytes, at, "\r\n")) return kNotPlain;
  request.command = Command::kGet;
  return {ParseStatus::kDone, at};
}

ParseResult parse_plain_set(std::string_view bytes, std::uint32_t value_bytes_max, Request& request) noexcept {
  std::size_t at = 0;
  std::uint32_t exptime = 0;
  std::uint32_t value_bytes = 0;
  if (!take(bytes, at, "set ") || !take_key(bytes, at, request.key) || !take(bytes, at, " ")) return kNotPlain;
  if (!take_digits(bytes, at, request.flags) || !take(bytes, at, " ")) return kNotPlain;
  if (!take_digits(bytes, at, exptime) || !take(bytes, at, " ")) return kNotPlain;
  if (!take_digits(bytes, at, value_bytes) || !take(bytes, at, "\r\n")) return kNotPlain;
  if (value_bytes > value_bytes_max) return kNotPlain;
  const std::size_t total = at + value_bytes + 2;
  if (bytes.size() < total) return {ParseStatus::kNeedMore, total};
  if (bytes.substr(total - 2, 2) != "\r\n") return kNotPlain;
  request.command = Command::kSet;
  request.exptime = static_cast<std::int32_t>(exptime);
  request.value = bytes.substr(at, value_bytes);
  return {ParseStatus::kDone, total};
}

// --- the general way -------------------------------------------------------------------------------------------------

std::string_view last_word(std::string_view line) noexcept {
  const std::size_t last = line.find_last_not_of(' ');
  if (last == std::string_view::npos) return {};
  line = line.substr(0, last + 1);
  return line.substr(line.rfind(' ') + 1);
}

bool has_noreply(std::string_view line) noexcept { return last_word(line) == "noreply"; }

bool begins_read(std::string_view line) noexcept {
  const std::size_t blanks = line.find_first_not_of(' ');
  if (blanks > kLeadingBlanksMax) return false;  // npos, too: nothing but blanks
  line.remove_prefix(blanks);
  return line.starts_with("get ") || line.starts_with("gets ") || line.starts_with("gat ") || line.starts_with("gats ");
}

bool too_long(std::string_view line, std::size_t bytes) noexcept {
  return bytes > Protocol::kLineBytesMax && (bytes > Protocol::kReadLineBytesMax || !begins_read(line));
}

ParseResult refuse(Request& request, Refusal refusal, std::uint64_t consumed) noexcept {
  request.refusal = refusal;
  return {ParseStatus::kDone, consumed};
}

// delete <key>, touch <key> <exptime>, incr|decr <key> <delta>. A line with too few words is answered even with
// noreply.
void parse_keyed(std::string_view line, Words words, Request& request) noexcept {
  request.key = words.next();
  const std::string_view argument = words.next();
  if (request.key.empty() || (argument.empty() && request.command != Command::kDelete)) {
    request.refusal = Refusal::kBadFormat;
    return;
  }
  request.noreply = has_noreply(line);
  words.next();
  words.next();
  if (request.command == Command::kDelete && !words.rest().empty()) {
    request.refusal = Refusal::kUnknownCommand;  // words behind the key are ignored, but not any number of them
  } else if (request.key.size() > kKeyBytesMax) {
    request.refusal = Refusal::kBadFormat;
  } else if (request.command == Command::kTouch) {
    const auto exptime = parse_decimal<std::int32_t>(argument);
    request.exptime = exptime.value_or(0);
    if (!exptime) request.refusal = Refusal::kBadExptime;
  } else if (request.command != Command::kDelete) {
    const auto delta = parse_decimal<std::uint64_t>(argument);
    request.number = delta.value_or(0);
    if (!delta) request.refusal = Refusal::kBadDelta;
  }
}

void parse_flush_all(std::string_view line, Words words, Request& request) noexcept {
  request.noreply = has_noreply(line);
  const std::string_view delay = words.next();
  const bool no_delay = delay.empty() || (request.noreply && words.rest().empty());
  if (no_delay) return;
  const auto seconds = parse_decimal<std::int32_t>(delay);
  request.exptime = seconds.value_or(0);
  if (!seconds) request.refusal = Refusal::kBadExptime;
}

void parse_verbosity(std::string_view line, Words words, Request& request) noexcept {
  request.noreply = has_noreply(line);
  const std::string_view word = words.next();
  const auto level = parse_decimal<std::uint32_t>(word);
  request.number = level.value_or(0);
  if (level) return;
  words.next();
  const bool one_or_two_words = !word.empty() && words.rest().empty();
  request.refusal = one_or_two_words ? Refusal::kBadFormat : Refusal::kUnknownCommand;
}

void parse_cache_memlimit(std::string_view line, Words words, Request& request) noexcept {
  request.noreply = has_noreply(line);
  const auto megabytes = parse_decimal<std::uint32_t>(words.next());
  request.number = megabytes.value_or(0);
  if (!megabytes) request.refusal = Refusal::kUnknownCommand;
}

void parse_shutdown(std::string_view line, Words words, Request& request) noexcept {
  request.noreply = has_noreply(line);
  const std::string_view mode = words.next();
  request.graceful = mode == "graceful";
  if ((!mode.empty() && !request.graceful) || !words.rest().empty()) request.refusal = Refusal::kBadShutdownMode;
}

// A command nobody knows. One that looks like HTTP ends the session, so that a web page cannot make a browser talk to
// us.
bool is_http(std::string_view name, std::string_view line) noexcept {
  const std::string_view last = last_word(line);
  return last.data() != name.data() && last.starts_with("HTTP/");
}

ParseStatus parse_line(std::string_view line, std::string_view name, Request& request) noexcept {
  const Words words(line.substr(name.size()));
  switch (request.command) {
    case Command::kDelete:
    case Command::kIncr:
    case Command::kDecr:
    case Command::kTouch: parse_keyed(line, words, request); break;
    case Command::kFlushAll: parse_flush_all(line, words, request); break;
    case Command::kVerbosity: parse_verbosity(line, words, request); break;
    case Command::kCacheMemlimit: parse_cache_memlimit(line, words, request); break;
    case Command::kShutdown: parse_shutdown(line, words, request); break;
    case Command::kStats: request.arguments = Words(words).rest(); break;
    case Command::kVersion:
    case Command::kQuit: break;
    default:
      if (is_http(name, line)) return ParseStatus::kInvalid;
      request.noreply = has_noreply(line);
      request.refusal = Refusal::kUnknownCommand;
  }
  return ParseStatus::kDone;
}

}  // namespace

ParseResult Protocol::parse(std::string_view bytes, Request& request) noexcept {
  if (pending_.bytes != 0) return next_key(bytes, request);
  request = Request{};
  if (!started_) {
    if (bytes.empty()) return {};
    if (bytes.front() == kBinaryRequestMagic) return parse_binary(bytes, request);
    started_ = true;
  }
  ParseResult result = parse_plain_get(bytes, request);
  if (!plain(result)) result = parse_plain_set(bytes, value_bytes_max_, request);
  if (plain(result)) [[likely]] {
    searched_bytes_ = 0;
    return result;
  }
  request.key = {};
  request.flags = 0;
  const std::string_view fresh = bytes.substr(std::min<std::size_t>(searched_bytes_, bytes.size()));
  const std::size_t newline = fresh.find('\n');
  if (newline == std::string_view::npos) return parse_unterminated(bytes);
  const std::size_t end = bytes.size() - fresh.size() + newline;
  searched_bytes_ = 0;
  if (too_long(bytes, end)) return {ParseStatus::kInvalid, 0};

  const std::size_t line_bytes = end + 1;
  if (line_bytes < kShortestLineBytes) return refuse(request, Refusal::kBadFormat, line_bytes);
  std::string_view line = bytes.substr(0, end);
  if (line.ends_with('\r')) line.remove_suffix(1);
  const std::string_view name = line.substr(0, line.find(' '));
  request.command = find_command(name);
  if (is_read(request.command)) return parse_read(line, line_bytes, request);
  if (is_store(request.command)) return parse_store(line, line_bytes, bytes, request);
  return {parse_line(line, name, request), line_bytes};
}

ParseResult Protocol::parse_unterminated(std::string_view bytes) noexcept {
  if (too_long(bytes, bytes.size())) return {ParseStatus::kInvalid, 0};
  searched_bytes_ = static_cast<std::uint32_t>(bytes.size());
  return {ParseStatus::kNeedMore, 0};
}

// magic 1 | opcode 1 | key length 2 | extras length 1 | data type 1 | vbucket 2 | body length 4 | opaque 4 | cas 8
ParseResult Protocol::parse_binary(std::string_view bytes, Request& request) noexcept {
  if (bytes.size() < kBinaryHeaderBytes) return {ParseStatus::kNeedMore, kBinaryHeaderBytes};
  const auto byte = [&](std::size_t i) { return static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i])); };
  request.command = Command::kBinary;
  request.number = byte(1) << 32 | byte(12) << 24 | byte(13) << 16 | byte(14) << 8 | byte(15);
  return refuse(request, Refusal::kBinary, kBinaryHeaderBytes);
}

// get|gets <key>+, gat|gats <exptime> <key>+
ParseResult Protocol::parse_read(std::string_view line, std::size_t line_bytes, Request& request) noexcept {
  Words words(line);
  words.next();
  const bool touches = request.command == Command::kGat || request.command == Command::kGats;
  const std::string_view exptime_word = touches ? words.next() : std::string_view{};
  const std::string_view keys = words.rest();
  if (keys.empty()) return refuse(request, Refusal::kBadFormat, line_bytes);
  if (touches) {
    const auto exptime = parse_decimal<std::int32_t>(exptime_word);
    if (!exptime) return refuse(request, Refusal::kBadExptime, line_bytes);
    request.exptime = *exptime;
  }
  request.key = words.next();
  const std::string_view more = words.rest();
  for (std::string_view key = request.key; !key.empty(); key = words.next()) {
    if (key.size() > kKeyBytesMax) return refuse(request, Refusal::kBadFormat, line_bytes);
  }
  if (more.empty()) return {ParseStatus::kDone, line_bytes};

  const std::size_t used = static_cast<std::size_t>(more.data() - line.data());
  pending_ = {.command = request.command,
              .terminator_bytes = static_cast<std::uint8_t>(line_bytes - line.size()),
              .exptime = request.exptime,
              .bytes = static_cast<std::uint32_t>(line_bytes - used)};
  request.last_key = false;
  return {ParseStatus::kDone, used};
}

ParseResult Protocol::next_key(std::string_view bytes, Request& request) noexcept {
  if (bytes.size() < pending_.bytes) return {ParseStatus::kNeedMore, pending_.bytes};
  request = Request{};
  request.command = pending_.command;
  request.exptime = pending_.exptime;
  request.first_key = false;
  Words words(bytes.substr(0, pending_.bytes - pending_.terminator_bytes));
  request.key = words.next();
  const std::string_view more = words.rest();
  request.last_key = more.empty();
  const std::size_t used = request.last_key ? pending_.bytes : static_cast<std::size_t>(more.data() - bytes.data());
  pending_.bytes -= static_cast<std::uint32_t>(used);
  return {ParseStatus::kDone, used};
}

// <command> <key> <flags> <exptime> <bytes> [cas] [noreply]\r\n<data>\r\n
// Once the length is known to be one, the data is consumed whatever else is wrong.
ParseResult Protocol::parse_store(std::string_view line, std::size_t line_bytes, std::string_view bytes,
                                  Request& request) const noexcept {
  Words words(line);
  words.next();
  request.key = words.next();
  const auto flags = parse_decimal<std::uint64_t>(words.next());
  const auto exptime = parse_decimal<std::int32_t>(words.next());
  const auto data_bytes = parse_decimal<std::int32_t>(words.next());
  if (!data_bytes || *data_bytes < 0 || *data_bytes > kDataBytesMax) {
    return refuse(request, Refusal::kBadFormat, line_bytes);
  }
  request.noreply = has_noreply(line);
  const std::uint64_t value_bytes = static_cast<std::uint64_t>(*data_bytes);
  const std::uint64_t total = line_bytes + value_bytes + 2;
  if (request.command == Command::kCas) {
    const auto token = parse_decimal<std::uint64_t>(words.next());
    if (!token) return refuse(request, Refusal::kBadFormat, total);
    request.number = *token;
  }
  if (request.key.size() > kKeyBytesMax || !flags || !exptime) return refuse(request, Refusal::kBadFormat, total);
  if (value_bytes > value_bytes_max_) return refuse(request, Refusal::kTooLarge, total);
  if (bytes.size() < total) return {ParseStatus::kNeedMore, total};

  request.flags = static_cast<std::uint32_t>(*flags);
  request.exptime = *exptime;
  request.value = bytes.substr(line_bytes, value_bytes);
  const bool ends_well = bytes.substr(line_bytes + value_bytes, 2) == "\r\n";
  return ends_well ? ParseResult{ParseStatus::kDone, total} : refuse(request, Refusal::kBadChunk, total);
}

}  // namespace pelikan::protocol::memcache
