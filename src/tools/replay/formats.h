// How a request stands in a trace, byte by byte. Integers of the binary formats are little-endian and not aligned.
//
//   twitter      a line of text: timestamp,key,key_size,value_size,client_id,op,ttl
//   segcache20   | time 4 | key id 8 | key size << 22 + value size 4 | operation << 24 + ttl 4 |           20 bytes
//                operations from 1: get gets set add cas replace append prepend delete incr decr
//                (what the artefact of the Segcache paper replays, files named *.sbin)
//   oracle       | time 4 | object id 8 | object size 4 | number of its next request 8, not used |       24 bytes
//                all are gets that never expire; the size is that of key and value together
//                (libCacheSim's oracleGeneral)
//
// Keys are padded on the left with '0' to their size. A numeric id is a key of its 8 bytes, so no key is shorter.
// Failure: what cannot be understood is nothing, to be left out. Sizes may be absurd: the reader checks them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace pelikan::tools::replay {

enum class Format : std::uint8_t { kTwitter, kSegcache20, kOracle };
inline constexpr std::array<std::string_view, 3> kFormatNames{"twitter", "segcache20", "oracle"};  // by Format
[[nodiscard]] constexpr std::string_view name_of(Format format) noexcept {
  return kFormatNames[static_cast<std::size_t>(format)];
}

enum class Operation : std::uint8_t { kGet, kSet, kAdd, kReplace, kCas, kAppend, kPrepend, kDelete, kArithmetic };

inline constexpr std::uint32_t kKeyBytesMax = 250;
inline constexpr std::uint32_t kValueBytesMax = (1u << 28) - 1;
inline constexpr std::size_t kSegcache20Bytes = 20;
inline constexpr std::size_t kOracleBytes = 24;

struct Record {
  std::uint32_t time_sec = 0;
  std::string_view key;         // as it stands there: not yet padded
  std::uint32_t key_bytes = 0;  // after padding
  std::uint32_t value_bytes = 0;
  Operation operation = Operation::kGet;
  std::uint32_t ttl_sec = 0;  // 0: never expires
};

// The key may contain commas: the other fields are found from both ends. Sizes above the limits are malformed too.
[[nodiscard]] std::optional<Record> parse_twitter(std::string_view line);
// REQUIRES of both: `bytes` is one whole record.
[[nodiscard]] std::optional<Record> parse_segcache20(std::string_view bytes);
[[nodiscard]] std::optional<Record> parse_oracle(std::string_view bytes);

// By the file's name, with or without .zst: *.sbin, *.oracleGeneral, *.oracleGeneral.bin, *.oracle; all others are
// twitter.
[[nodiscard]] Format format_of(std::string_view path);

}  // namespace pelikan::tools::replay
