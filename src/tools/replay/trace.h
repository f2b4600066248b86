// A request trace in memory, compact: 16 bytes per request, and each distinct key once.
//
// Owner:   the replay. Threads: one.
// Limits:  the whole trace is held in memory. A key of more than kKeyBytesMax, a value of more than kValueBytesMax, a
// line that
//          cannot be understood: counted as malformed and left out.
// Failure: see source.h; a trace without a single good line throws std::runtime_error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "tools/replay/source.h"

namespace pelikan::tools::replay {

enum class Operation : std::uint8_t { kGet, kSet, kAdd, kReplace, kCas, kAppend, kPrepend, kDelete, kArithmetic };

inline constexpr std::size_t kKeyBytesMax = 250;
inline constexpr std::uint32_t kValueBytesMax = (1u << 28) - 1;

// One line of the `twitter` format: timestamp,key,key_size,value_size,client_id,op,ttl
struct TwitterLine {
  std::uint32_t time_sec = 0;
  std::string_view key;         // as written: not yet padded
  std::uint32_t key_bytes = 0;  // after padding
  std::uint32_t value_bytes = 0;
  Operation operation = Operation::kGet;
  std::uint32_t ttl_sec = 0;  // 0: never expires
};

// Nothing when the line is malformed. The key may contain commas: the other fields are found from both ends.
[[nodiscard]] std::optional<TwitterLine> parse_twitter(std::string_view line);

// Distinct keys, numbered in the order of their first appearance.
class KeyTable {
 public:
  KeyTable();

  [[nodiscard]] std::uint32_t number_of(std::string_view key);  // a new number for a new key
  [[nodiscard]] std::string_view key(std::uint32_t number) const {
    return std::string_view(text_).substr(ends_[number], ends_[number + 1] - ends_[number]);
  }
  [[nodiscard]] std::uint32_t count() const noexcept { return static_cast<std::uint32_t>(ends_.size() - 1); }

 private:
  static constexpr std::uint32_t kFree = ~0u;

  [[nodiscard]] std::size_t slot_of(std::string_view key) const;
  void grow();

  KeyHash hash_;
  std::string text_;
  std::vector<std::uint64_t> ends_;   // key i is text_[ends_[i], ends_[i + 1])
  std::vector<std::uint32_t> slots_;  // open addressing; a power of two, at most half full
};

struct Request {
  std::uint32_t time_sec;
  std::uint32_t key;  // its number in the trace's KeyTable
  std::uint32_t value_bytes : 28;
  std::uint32_t operation_bits : 4;
  std::uint32_t ttl_sec;

  [[nodiscard]] Operation operation() const noexcept { return static_cast<Operation>(operation_bits); }
};
static_assert(sizeof(Request) == 16);

struct Trace {
  std::vector<Request> requests;
  KeyTable keys;
  std::uint64_t footprint_bytes = 0;  // key + value of every distinct key at its first appearance
  std::uint64_t malformed_lines = 0;
  std::uint64_t first_malformed_line = 0;  // its number; 0 when there is none
  std::uint64_t backward_steps = 0;        // requests older than the one before; they are given its time
};

[[nodiscard]] Trace read_twitter(Source& source);

}  // namespace pelikan::tools::replay
