// Numbers in text, as cache protocols write them: strict, bounded, without locale or allocation.
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string_view>

namespace pelikan {

// The whole of `text` as a decimal number of type T. Nothing for an empty text, a sign that T does not have, a '+',
// blanks, or a value that T cannot hold.
template <std::integral T>
[[nodiscard]] constexpr std::optional<T> parse_decimal(std::string_view text) noexcept {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

inline constexpr std::size_t kMaxDecimalChars = 20;  // digits of 2^64 - 1; a sign fits too, for signed types

// Writes `value` at `out` (REQUIRES room for kMaxDecimalChars) and returns the end of what was written.
template <std::integral T>
constexpr char* write_decimal(char* out, T value) noexcept {
  if (value >= 0 && value < 10) {  // most flags
    *out = static_cast<char>('0' + value);
    return out + 1;
  }
  if (value >= 0 && value < 1000) {  // most lengths
    const auto small = static_cast<unsigned>(value);
    if (small >= 100) *out++ = static_cast<char>('0' + small / 100);
    *out++ = static_cast<char>('0' + small / 10 % 10);
    *out++ = static_cast<char>('0' + small % 10);
    return out;
  }
  return std::to_chars(out, out + kMaxDecimalChars, value).ptr;
}

}  // namespace pelikan
