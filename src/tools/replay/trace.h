// A request trace in memory, compact: 16 bytes per request, and each distinct key once.
//
// Owner:   the replay. Threads: one.
// Limits:  the whole trace is held in memory. Lines and records that cannot be understood are counted and left out.
// Failure: std::runtime_error, one line: what source.h throws; the number of a binary record that ends early or whose
//          sizes are above the limits (formats.h); a trace without a single request.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "tools/replay/formats.h"
#include "tools/replay/source.h"

namespace pelikan::tools::replay {

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
  Format format = Format::kTwitter;
  std::vector<Request> requests;
  KeyTable keys;
  std::uint64_t footprint_bytes = 0;       // key + value of every distinct key at its first appearance
  std::uint64_t malformed_lines = 0;       // or records
  std::uint64_t first_malformed_line = 0;  // its number; 0 when there is none
  std::uint64_t backward_steps = 0;        // requests older than the one before; they are given its time
};

[[nodiscard]] Trace read_trace(Source& source, Format format);

}  // namespace pelikan::tools::replay
