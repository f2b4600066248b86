// The types a setting can have, and how each is read from a file or a command line and written back.
// A value that comes as text ("12321", "64MB", "true") is accepted wherever the text reads as the type: Pelikan's own
// files write ports that way, and --set has nothing but text.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace pelikan::config {

inline constexpr std::uint64_t kKiB = 1024;
inline constexpr std::uint64_t kMiB = 1024 * kKiB;
inline constexpr std::uint64_t kGiB = 1024 * kMiB;
inline constexpr std::uint64_t kTiB = 1024 * kGiB;

// A number of bytes: 4096, "64KB", "64KiB", "4GB" (all in powers of 1024).
struct Size {
  std::uint64_t bytes = 0;
  constexpr Size() = default;
  constexpr Size(std::uint64_t n) : bytes(n) {}               // NOLINT(google-explicit-constructor): a size is a number
  constexpr operator std::uint64_t() const { return bytes; }  // NOLINT(google-explicit-constructor)
};

// A time span: "100ms", "30s", "5m", "2h", "1d"; a plain number is milliseconds.
using Duration = std::chrono::milliseconds;
// The same in finer steps: "50us"; a plain number is milliseconds here, too.
using ShortDuration = std::chrono::microseconds;

using List = std::vector<std::string>;

// What a file or command line holds, before it meets an option.
struct Unreadable {  // a date, a table: nothing any option takes
  bool operator==(const Unreadable&) const = default;
};
using Value = std::variant<Unreadable, bool, std::int64_t, double, std::string, List>;

// One per type that an option can have. read() gives nothing when `value` is not of that type.
template <class T>
struct Codec {
  [[nodiscard]] static std::optional<T> read(const Value& value);
  [[nodiscard]] static std::string print(const T& value);  // as TOML, so that read() of it gives the same value
  [[nodiscard]] static const char* type_name();            // "a number", "a size such as 64MB"
};

// `text` as a TOML string with its quotes.
[[nodiscard]] std::string quoted(std::string_view text);
// `text` without control characters, so that a message stays one line, and cut when it is long.
[[nodiscard]] std::string one_line(std::string_view text);
[[nodiscard]] std::string lower(std::string_view text);
[[nodiscard]] bool valid_utf8(std::string_view text) noexcept;

}  // namespace pelikan::config
