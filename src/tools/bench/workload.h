// What is asked for: which action on which key, and which bytes belong to a key.
//
// A key is its number in decimal, padded with zeros on the left. A value is a stretch of one block of noise, found from
// the key's number: so a value is checked by comparing memory, and another key's value or a torn one is seen (two keys
// share a stretch only if their numbers differ by a multiple of 65,536).
// Owner: a client. Threads: one.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "tools/bench/options.h"
#include "tools/bench/random.h"

namespace pelikan::tools::bench {

struct Request {
  Action action = Action::kGet;
  std::uint32_t key = 0;
};

class Workload {
 public:
  Workload(const Options& options, std::uint64_t seed);

  // From now on every key of [first, end) is set once, in order; then remaining() is 0 until mix() is called.
  void fill(std::uint32_t first, std::uint32_t end) noexcept {
    filled_ = first;
    fill_end_ = end;
  }
  void mix() noexcept { filled_.reset(); }
  [[nodiscard]] std::uint32_t remaining() const noexcept {
    return filled_ ? fill_end_ - *filled_ : std::numeric_limits<std::uint32_t>::max();
  }
  // REQUIRES: remaining() > 0.
  [[nodiscard]] Request next() noexcept;

  [[nodiscard]] std::size_t key_bytes() const noexcept { return key_bytes_; }
  [[nodiscard]] std::size_t value_bytes() const noexcept { return value_bytes_; }
  [[nodiscard]] std::uint32_t ttl_sec() const noexcept { return ttl_sec_; }
  // Writes key_bytes() bytes.
  void write_key(std::uint32_t key, char* out) const noexcept;
  [[nodiscard]] std::string_view value(std::uint32_t key) const noexcept {
    return std::string_view(noise_).substr((key * kStride) % kStretches, value_bytes_);
  }

 private:
  static constexpr std::uint32_t kStretches = 1 << 16;
  static constexpr std::uint32_t kStride = 40503;  // odd, so that neighbours are far apart and all stretches are used

  std::uint32_t keys_;
  std::size_t key_bytes_;
  std::size_t value_bytes_;
  std::uint32_t ttl_sec_;
  std::uint32_t until_get_;  // a draw below this is a get, below the next a set, below the last a delete
  std::uint32_t until_set_;
  std::uint32_t until_delete_;
  Random random_;
  std::optional<Zipf> zipf_;
  std::string noise_;
  std::optional<std::uint32_t> filled_;
  std::uint32_t fill_end_ = 0;
};

}  // namespace pelikan::tools::bench
