#include "config/value.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "base/bytes.h"

namespace pelikan::config {
namespace {

constexpr std::size_t kMaxShownBytes = 120;

struct Scale {
  std::string_view suffix;  // lower case
  std::uint64_t factor;
};

constexpr std::array kSizes{Scale{"b", 1},      Scale{"kb", kKiB},  Scale{"kib", kKiB},
                            Scale{"mb", kMiB},  Scale{"mib", kMiB}, Scale{"gb", kGiB},
                            Scale{"gib", kGiB}, Scale{"tb", kTiB},  Scale{"tib", kTiB}};
constexpr std::uint64_t kMicrosPerMilli = 1000;
constexpr std::array kDurations{Scale{"us", 1},         Scale{"ms", kMicrosPerMilli}, Scale{"s", 1'000'000},
                                Scale{"m", 60'000'000}, Scale{"h", 3'600'000'000},    Scale{"d", 86'400'000'000}};

// "64MB": digits, at most one blank, a suffix or none (then `plain` is the factor).
template <std::size_t N>
std::optional<std::uint64_t> scaled(std::string_view text, const std::array<Scale, N>& scales,
                                    std::uint64_t plain = 1) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::optional<std::uint64_t> number = parse_decimal<std::uint64_t>(text.substr(0, digits));
  if (!number) return std::nullopt;
  const auto times = [&](std::uint64_t factor) {
    const bool fits = *number <= std::numeric_limits<std::uint64_t>::max() / factor;
    return fits ? std::optional(*number * factor) : std::nullopt;
  };
  if (digits == text.size()) return times(plain);
  std::string_view rest = text.substr(digits);
  if (rest.starts_with(' ')) rest.remove_prefix(1);
  const std::string suffix = lower(rest);
  for (const Scale& scale : scales) {
    if (scale.suffix == suffix) return times(scale.factor);
  }
  return std::nullopt;
}

std::optional<std::uint64_t> not_negative(std::int64_t number) {
  return number < 0 ? std::nullopt : std::optional(static_cast<std::uint64_t>(number));
}

std::optional<ShortDuration> read_duration(const Value& value) {
  constexpr std::uint64_t kMaxMicros = 100ULL * 365 * 86'400'000'000;  // a hundred years: safe to add to any clock
  std::optional<std::uint64_t> micros;
  if (const auto* number = std::get_if<std::int64_t>(&value)) micros = scaled(fmt::format("{}ms", *number), kDurations);
  if (const auto* text = std::get_if<std::string>(&value)) micros = scaled(*text, kDurations, kMicrosPerMilli);
  return micros && *micros <= kMaxMicros ? std::optional(ShortDuration(*micros)) : std::nullopt;
}

template <std::integral T>
std::optional<T> read_integer(const Value& value) {
  if (const auto* number = std::get_if<std::int64_t>(&value)) {
    if (!std::in_range<T>(*number)) return std::nullopt;
    return static_cast<T>(*number);
  }
  if (const auto* text = std::get_if<std::string>(&value)) return parse_decimal<T>(*text);
  return std::nullopt;
}

}  // namespace

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04X}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string one_line(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, kMaxShownBytes))
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  if (text.size() > kMaxShownBytes) out += "...";
  return out;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  }
  return out;
}

bool valid_utf8(std::string_view text) noexcept {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i++]);
    if (lead < 0x80) continue;
    const int more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
    if (lead < 0xC2 || lead > 0xF4) return false;
    std::uint32_t code = lead & (0x3FU >> more);
    for (int k = 0; k < more; ++k, ++i) {
      if (i == text.size() || (static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) return false;
      code = (code << 6) | (static_cast<unsigned char>(text[i]) & 0x3FU);
    }
    const std::uint32_t least = more == 3 ? 0x10000 : more == 2 ? 0x800 : 0x80;
    if (code < least || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return false;
  }
  return true;
}

template <>
const char* Codec<bool>::type_name() {
  return "true or false";
}
template <>
std::optional<bool> Codec<bool>::read(const Value& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag;
  if (const auto* text = std::get_if<std::string>(&value)) {
    if (lower(*text) == "true") return true;
    if (lower(*text) == "false") return false;
  }
  return std::nullopt;
}
template <>
std::string Codec<bool>::print(const bool& value) {
  return value ? "true" : "false";
}

template <>
const char* Codec<std::uint64_t>::type_name() {
  return "a number, not negative";
}
template <>
std::optional<std::uint64_t> Codec<std::uint64_t>::read(const Value& value) {
  return read_integer<std::uint64_t>(value);
}
// TOML's own integers end at 2^63 - 1; larger ones are written as text, which read() takes too.
template <>
std::string Codec<std::uint64_t>::print(const std::uint64_t& value) {
  return std::in_range<std::int64_t>(value) ? fmt::format("{}", value) : fmt::format("\"{}\"", value);
}

template <>
const char* Codec<std::int64_t>::type_name() {
  return "a number";
}
template <>
std::optional<std::int64_t> Codec<std::int64_t>::read(const Value& value) {
  return read_integer<std::int64_t>(value);
}
template <>
std::string Codec<std::int64_t>::print(const std::int64_t& value) {
  return fmt::format("{}", value);
}

template <>
const char* Codec<double>::type_name() {
  return "a number, also with a fraction";
}
template <>
std::optional<double> Codec<double>::read(const Value& value) {
  double number = 0;
  if (const auto* real = std::get_if<double>(&value)) {
    number = *real;
  } else if (const auto* whole = std::get_if<std::int64_t>(&value)) {
    number = static_cast<double>(*whole);
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
    if (error != std::errc{} || end != text->data() + text->size()) return std::nullopt;
  } else {
    return std::nullopt;
  }
  return std::isfinite(number) ? std::optional(number) : std::nullopt;
}
template <>
std::string Codec<double>::print(const double& value) {
  const std::string text = fmt::format("{}", value);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

template <>
const char* Codec<std::string>::type_name() {
  return "text";
}
template <>
std::optional<std::string> Codec<std::string>::read(const Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  return text ? std::optional(*text) : std::nullopt;
}
template <>
std::string Codec<std::string>::print(const std::string& value) {
  return quoted(value);
}

template <>
const char* Codec<Size>::type_name() {
  return "a size such as 4096, \"64MB\" or \"4GB\"";
}
template <>
std::optional<Size> Codec<Size>::read(const Value& value) {
  std::optional<std::uint64_t> bytes;
  if (const auto* number = std::get_if<std::int64_t>(&value)) bytes = not_negative(*number);
  if (const auto* text = std::get_if<std::string>(&value)) bytes = scaled(*text, kSizes);
  return bytes ? std::optional(Size(*bytes)) : std::nullopt;
}
template <>
std::string Codec<Size>::print(const Size& value) {
  constexpr std::array kSteps{Scale{"TB", kTiB}, Scale{"GB", kGiB}, Scale{"MB", kMiB}, Scale{"KB", kKiB}};
  for (const Scale& step : kSteps) {
    if (value.bytes >= step.factor && value.bytes % step.factor == 0) {
      return fmt::format("\"{}{}\"", value.bytes / step.factor, step.suffix);
    }
  }
  return fmt::format("\"{}\"", value.bytes);
}

template <>
const char* Codec<Duration>::type_name() {
  return "a time such as \"100ms\", \"30s\", \"5m\", or milliseconds";
}
template <>
std::optional<Duration> Codec<Duration>::read(const Value& value) {
  const auto given = read_duration(value);
  const auto whole = given ? std::chrono::floor<Duration>(*given) : Duration(0);
  return given && whole == *given ? std::optional(whole) : std::nullopt;
}
template <>
std::string Codec<Duration>::print(const Duration& value) {
  const auto ms = static_cast<std::uint64_t>(value.count());
  constexpr std::array kSteps{Scale{"h", 3'600'000}, Scale{"m", 60'000}, Scale{"s", 1000}};
  for (const Scale& step : kSteps) {
    if (ms >= step.factor && ms % step.factor == 0) return fmt::format("\"{}{}\"", ms / step.factor, step.suffix);
  }
  return fmt::format("\"{}ms\"", ms);
}

template <>
const char* Codec<ShortDuration>::type_name() {
  return "a time such as \"50us\", \"1ms\", \"1s\", or milliseconds";
}
template <>
std::optional<ShortDuration> Codec<ShortDuration>::read(const Value& value) {
  return read_duration(value);
}
template <>
std::string Codec<ShortDuration>::print(const ShortDuration& value) {
  const auto whole = std::chrono::floor<Duration>(value);
  return whole == value ? Codec<Duration>::print(whole) : fmt::format("\"{}us\"", value.count());
}

template <>
const char* Codec<List>::type_name() {
  return "a list of texts";
}
template <>
std::optional<List> Codec<List>::read(const Value& value) {
  if (const auto* list = std::get_if<List>(&value)) return *list;
  const auto* text = std::get_if<std::string>(&value);  // --set: a,b,c
  if (!text) return std::nullopt;
  List list;
  for (std::size_t from = 0; from < text->size();) {
    const std::size_t end = std::min(text->find(',', from), text->size());
    list.push_back(text->substr(from, end - from));
    from = end + 1;
  }
  return list;
}
template <>
std::string Codec<List>::print(const List& value) {
  std::string out;
  for (const std::string& item : value) out += (out.empty() ? "" : ", ") + quoted(item);
  return "[" + out + "]";
}

}  // namespace pelikan::config
