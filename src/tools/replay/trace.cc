#include "tools/replay/trace.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

#include "base/bytes.h"

namespace pelikan::tools::replay {
namespace {

constexpr std::size_t kFirstSlots = 1024;
constexpr std::uint64_t kHashSeed = 1;  // any: the order of slots is never seen

constexpr std::array<std::pair<std::string_view, Operation>, 11> kOperations{{
    {"get", Operation::kGet},
    {"gets", Operation::kGet},
    {"set", Operation::kSet},
    {"add", Operation::kAdd},
    {"replace", Operation::kReplace},
    {"cas", Operation::kCas},
    {"append", Operation::kAppend},
    {"prepend", Operation::kPrepend},
    {"delete", Operation::kDelete},
    {"incr", Operation::kArithmetic},
    {"decr", Operation::kArithmetic},
}};

// Splits the field after the last comma off `line`. Nothing when there is no comma.
std::optional<std::string_view> take_last_field(std::string_view& line) {
  const std::size_t comma = line.rfind(',');
  if (comma == std::string_view::npos) return std::nullopt;
  const std::string_view field = line.substr(comma + 1);
  line = line.substr(0, comma);
  return field;
}

std::optional<std::uint32_t> take_last_number(std::string_view& line) {
  const auto field = take_last_field(line);
  return field ? parse_decimal<std::uint32_t>(*field) : std::nullopt;
}

std::optional<Operation> take_last_operation(std::string_view& line) {
  const auto field = take_last_field(line);
  if (!field) return std::nullopt;
  const auto* found = std::ranges::find(kOperations, *field, &std::pair<std::string_view, Operation>::first);
  return found != kOperations.end() ? std::optional(found->second) : std::nullopt;
}

}  // namespace

std::optional<TwitterLine> parse_twitter(std::string_view line) {
  const auto ttl = take_last_number(line);
  const auto operation = take_last_operation(line);
  const auto client = take_last_field(line);
  const auto value_bytes = take_last_number(line);
  const auto key_bytes = take_last_number(line);
  const std::size_t comma = line.find(',');
  if (!ttl || !operation || !client || !value_bytes || !key_bytes || comma == std::string_view::npos)
    return std::nullopt;
  const auto time = parse_decimal<std::uint32_t>(line.substr(0, comma));
  const std::string_view key = line.substr(comma + 1);
  if (!time || key.empty() || key.size() > kKeyBytesMax || *key_bytes > kKeyBytesMax || *value_bytes > kValueBytesMax) {
    return std::nullopt;
  }
  return TwitterLine{.time_sec = *time,
                     .key = key,
                     .key_bytes = std::max(*key_bytes, static_cast<std::uint32_t>(key.size())),
                     .value_bytes = *value_bytes,
                     .operation = *operation,
                     .ttl_sec = *ttl};
}

KeyTable::KeyTable() : hash_(kHashSeed), ends_{0}, slots_(kFirstSlots, kFree) {}

std::uint32_t KeyTable::number_of(std::string_view key) {
  std::size_t slot = slot_of(key);
  if (slots_[slot] != kFree) return slots_[slot];
  if (count() >= slots_.size() / 2) {
    grow();
    slot = slot_of(key);
  }
  text_.append(key);
  ends_.push_back(text_.size());
  return slots_[slot] = count() - 1;
}

// Where the key is, or the free slot where it belongs.
std::size_t KeyTable::slot_of(std::string_view wanted) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = hash_(wanted) & mask;
  while (slots_[slot] != kFree && key(slots_[slot]) != wanted) slot = (slot + 1) & mask;
  return slot;
}

void KeyTable::grow() {
  slots_.assign(slots_.size() * 2, kFree);
  for (std::uint32_t number = 0; number < count(); ++number) slots_[slot_of(key(number))] = number;
}

Trace read_twitter(Source& source) {
  Trace trace;
  LineReader lines(source);
  std::string padded;
  std::uint32_t now = 0;
  while (const auto text = lines.next()) {
    const auto line = parse_twitter(*text);
    if (!line) {
      if (trace.malformed_lines++ == 0) trace.first_malformed_line = lines.line_number();
      continue;
    }
    padded.assign(line->key_bytes - line->key.size(), '0');
    padded += line->key;
    const std::uint32_t known = trace.keys.count();
    const std::uint32_t key = trace.keys.number_of(padded);
    if (key == known) trace.footprint_bytes += padded.size() + line->value_bytes;
    if (line->time_sec < now) ++trace.backward_steps;
    now = std::max(now, line->time_sec);
    trace.requests.push_back({.time_sec = now,
                              .key = key,
                              .value_bytes = line->value_bytes & kValueBytesMax,
                              .operation_bits = static_cast<std::uint32_t>(line->operation) & 0xf,
                              .ttl_sec = line->ttl_sec});
  }
  if (trace.requests.empty()) throw std::runtime_error("the trace holds no request in the format `twitter`");
  return trace;
}

}  // namespace pelikan::tools::replay
