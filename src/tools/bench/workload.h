// What is asked for: which action on which key, and which bytes belong to a key.
//
// A key is its number in decimal, padded with zeros on the left. A value is a stretch of one block of noise, found from
// the key's number: so a value is checked by comparing memory, and another key's value or a torn one is seen (two keys
// share a stretch only if their numbers differ by a multiple of 65,536).
// Owner: a client. Threads: one.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
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

// A key, and its last eight digits as they lie in memory: computed once, written at every place where it is expected.
struct KeyDigits {
  std::uint32_t key = 0;
  std::uint64_t last_eight = 0;
};

// How a key is written. May be copied, as Values may: a loop that works on copies does not read them again and again.
struct KeyWriter {
  std::size_t key_bytes;
  bool eight;  // the last eight digits are all that differs

  void write(const KeyDigits& digits, char* field) const noexcept {
    if (!eight) return write_all(digits.key, field);
    std::memcpy(field + key_bytes - sizeof(digits.last_eight), &digits.last_eight, sizeof(digits.last_eight));
  }
  void write_all(std::uint32_t key, char* field) const noexcept;
};

// The values, `bytes` each. REQUIRES: the workload lives.
struct Values {
  static constexpr std::uint32_t kStretches = 1 << 16;
  static constexpr std::uint32_t kStride = 40503;  // odd, so that neighbours are far apart and all stretches are used

  const char* noise;
  std::size_t bytes;

  [[nodiscard]] const char* of(std::uint32_t key) const noexcept { return noise + (key * kStride) % kStretches; }
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
  [[nodiscard]] Request next() noexcept {
    if (filled_) return {.action = Action::kSet, .key = (*filled_)++};
    const std::uint64_t bits = random_.next();
    const std::uint32_t key = zipf_ ? zipf_->draw(random_) : scale(bits >> 32, keys_);
    const std::uint32_t drawn = scale(bits & 0xffff'ffff, until_delete_);
    if (drawn < until_get_) return {.action = Action::kGet, .key = key};
    return {.action = drawn < until_set_ ? Action::kSet : Action::kDelete, .key = key};
  }
  // One more key for the same request.
  [[nodiscard]] std::uint32_t draw_key() noexcept { return zipf_ ? zipf_->draw(random_) : random_.below(keys_); }

  [[nodiscard]] std::size_t key_bytes() const noexcept { return key_bytes_; }
  [[nodiscard]] std::size_t value_bytes() const noexcept { return value_bytes_; }
  [[nodiscard]] std::uint32_t ttl_sec() const noexcept { return ttl_sec_; }
  [[nodiscard]] std::uint32_t keys_per_get() const noexcept { return keys_per_get_; }
  [[nodiscard]] KeyDigits digits(std::uint32_t key) const noexcept {
    return {.key = key, .last_eight = eight_digits_ ? eight_digits(key) : 0};
  }
  // Writes the key over another one, or over key_bytes() zeros.
  void write_key(const KeyDigits& digits, char* field) const noexcept { key_writer().write(digits, field); }
  void write_key(std::uint32_t key, char* field) const noexcept { write_key(digits(key), field); }
  [[nodiscard]] KeyWriter key_writer() const noexcept { return {.key_bytes = key_bytes_, .eight = eight_digits_}; }
  [[nodiscard]] std::string_view value(std::uint32_t key) const noexcept { return {values().of(key), value_bytes_}; }
  [[nodiscard]] Values values() const noexcept { return {.noise = noise_.data(), .bytes = value_bytes_}; }

 private:
  // `bits`, 32 random ones, as a number in [0, bound).
  [[nodiscard]] static std::uint32_t scale(std::uint64_t bits, std::uint32_t bound) noexcept {
    return static_cast<std::uint32_t>((bits * bound) >> 32);
  }
  // A number below 10^8 as its digits lie in memory. Each step halves all parts at once: two numbers of four digits,
  // four of two, eight of one; each in its lane, divided by a multiplication. The quotient q of n stays where it is,
  // the remainder n - q * d goes one lane up, by s bits: together (n << s) - q * ((d << s) - 1).
  [[nodiscard]] static std::uint64_t eight_digits(std::uint32_t number) noexcept {
    static_assert(std::endian::native == std::endian::little);
    const auto split = [](std::uint64_t n, std::uint64_t q, std::uint64_t d, unsigned s) {
      return (n << s) - q * ((d << s) - 1);
    };
    const std::uint64_t fours = split(number, number / 10'000, 10'000, 32);
    const std::uint64_t twos = split(fours, (fours * 10'486 >> 20) & 0x0000'007f'0000'007f, 100, 16);
    const std::uint64_t ones = split(twos, (twos * 103 >> 10) & 0x000f'000f'000f'000f, 10, 8);
    return ones + 0x3030'3030'3030'3030;
  }

  std::uint32_t keys_;
  std::size_t key_bytes_;
  std::size_t value_bytes_;
  bool eight_digits_;  // hold any key, and a key holds them
  std::uint32_t keys_per_get_;
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
