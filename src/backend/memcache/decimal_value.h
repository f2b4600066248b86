// Values that incr and decr can work on: what strtoull would read, as memcached takes them, without the minus sign.
//   blanks, an optional +, at least one digit, at most 2^64 - 1; then the end, or a blank or NUL and anything.
// The result is written back padded with blanks to the length that was there, because memcached changes it in place.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"

namespace pelikan::backend::memcache {

// A longer value is taken for text. (memcached has no such bound; a counter padded this far does not occur.)
inline constexpr std::size_t kDecimalValueBytesMax = 256;

[[nodiscard]] constexpr bool is_blank(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }
[[nodiscard]] constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

[[nodiscard]] constexpr std::optional<std::uint64_t> decimal_of_value(std::string_view value) noexcept {
  if (value.size() > kDecimalValueBytesMax) return std::nullopt;
  std::size_t begin = 0;
  while (begin < value.size() && is_blank(value[begin])) ++begin;
  if (begin < value.size() && value[begin] == '+') ++begin;
  std::size_t end = begin;
  while (end < value.size() && is_digit(value[end])) ++end;
  if (end < value.size() && !is_blank(value[end]) && value[end] != '\0') return std::nullopt;
  return parse_decimal<std::uint64_t>(value.substr(begin, end - begin));
}

// A number as it is stored: digits, then the blanks that keep the old length.
class DecimalText {
 public:
  DecimalText(std::uint64_t number, std::size_t old_bytes) noexcept {
    end_ = static_cast<std::size_t>(write_decimal(text_.data(), number) - text_.data());
    while (end_ < old_bytes && end_ < text_.size()) text_[end_++] = ' ';
  }
  [[nodiscard]] std::string_view view() const noexcept { return {text_.data(), end_}; }

 private:
  std::array<char, kDecimalValueBytesMax> text_;
  std::size_t end_ = 0;
};
static_assert(kDecimalValueBytesMax >= kMaxDecimalChars);

}  // namespace pelikan::backend::memcache
