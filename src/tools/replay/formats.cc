#include "tools/replay/formats.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"

namespace pelikan::tools::replay {
namespace {

constexpr std::uint32_t kIdBytes = 8;

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

// By their number in segcache20, less one.
constexpr std::array<Operation, 11> kNumbered{Operation::kGet,        Operation::kGet,       Operation::kSet,
                                              Operation::kAdd,        Operation::kCas,       Operation::kReplace,
                                              Operation::kAppend,     Operation::kPrepend,   Operation::kDelete,
                                              Operation::kArithmetic, Operation::kArithmetic};

std::uint32_t load_32(std::string_view bytes, std::size_t at) noexcept {
  static_assert(std::endian::native == std::endian::little);
  std::uint32_t value = 0;
  std::memcpy(&value, bytes.substr(at, sizeof value).data(), sizeof value);
  return value;
}

}  // namespace

std::optional<Record> parse_twitter(std::string_view line) {
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
  return Record{.time_sec = *time,
                .key = key,
                .key_bytes = std::max(*key_bytes, static_cast<std::uint32_t>(key.size())),
                .value_bytes = *value_bytes,
                .operation = *operation,
                .ttl_sec = *ttl};
}

std::optional<Record> parse_segcache20(std::string_view bytes) {
  DCHECK(bytes.size() == kSegcache20Bytes);
  const std::uint32_t sizes = load_32(bytes, 12);
  const std::uint32_t operation_and_ttl = load_32(bytes, 16);
  const std::uint32_t key_bytes = sizes >> 22;
  const std::uint32_t operation = operation_and_ttl >> 24;
  if (key_bytes == 0 || operation == 0 || operation > kNumbered.size()) return std::nullopt;
  return Record{.time_sec = load_32(bytes, 0),
                .key = bytes.substr(4, kIdBytes),
                .key_bytes = std::max(key_bytes, kIdBytes),
                .value_bytes = sizes & ((1u << 22) - 1),
                .operation = kNumbered[operation - 1],
                .ttl_sec = operation_and_ttl & ((1u << 24) - 1)};
}

std::optional<Record> parse_oracle(std::string_view bytes) {
  DCHECK(bytes.size() == kOracleBytes);
  return Record{.time_sec = load_32(bytes, 0),
                .key = bytes.substr(4, kIdBytes),
                .key_bytes = kIdBytes,
                .value_bytes = std::max(load_32(bytes, 12), kIdBytes) - kIdBytes,
                .operation = Operation::kGet,
                .ttl_sec = 0};
}

Format format_of(std::string_view path) {
  if (path.ends_with(".zst")) path.remove_suffix(4);
  if (path.ends_with(".sbin")) return Format::kSegcache20;
  for (const char* end : {".oracleGeneral", ".oracleGeneral.bin", ".oracle"}) {
    if (path.ends_with(end)) return Format::kOracle;
  }
  return Format::kTwitter;
}

}  // namespace pelikan::tools::replay
