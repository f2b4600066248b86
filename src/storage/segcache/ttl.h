// TTL classes and the stored form of an expiry.
//
// Items whose TTLs are within a factor of two share segments: class 0 holds TTLs below 16 s, class 1 those of 16-31 s,
// and so on by powers of two up to a year and more (class 22); class 23 never expires. A class has a grain of 2^shift
// seconds:
//
//   TTL (s)    1..131071    2^17..2^18-1    ...    2^24..2^25-1    2^25..      never
//   class          0..13              14    ...              21        22         23
//   shift              0               1    ...               8        15          -
//
// An item stores, in 18 bits, how many grains its deadline lies after its segment's base second; all ones is "never".
// Deadlines are rounded up to the grain when the item is written: exact for TTLs up to a day and a half, late by less
// than 1/1000 of the TTL above. The grain is absolute and depends on the class alone, so moving an item to another
// segment of its class changes nothing.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <optional>

namespace pelikan::storage::segcache {

// A deadline is a monotonic second; inside the storage "never" is the last one, so that one comparison answers.
inline constexpr std::uint32_t kNever = 0xFFFFFFFF;

inline constexpr unsigned kTtlClasses = 24;
inline constexpr unsigned kLongestClass = 22;
inline constexpr unsigned kNeverClass = 23;

inline constexpr unsigned kExpiryBits = 18;
inline constexpr std::uint32_t kExpiryNever = (1U << kExpiryBits) - 1;

// REQUIRES: ttl_sec > 0.
[[nodiscard]] constexpr unsigned ttl_class(std::uint32_t ttl_sec) noexcept {
  const auto power = static_cast<unsigned>(std::bit_width(ttl_sec)) - 1;
  return power < 4 ? 0 : std::min(power - 3, kLongestClass);
}

// REQUIRES: deadline > now_sec.
[[nodiscard]] constexpr unsigned deadline_class(std::uint32_t deadline, std::uint32_t now_sec) noexcept {
  return deadline == kNever ? kNeverClass : ttl_class(deadline - now_sec);
}

[[nodiscard]] constexpr unsigned expiry_shift(unsigned ttl_class) noexcept {
  if (ttl_class == kLongestClass) return 15;
  if (ttl_class == kNeverClass || ttl_class <= 13) return 0;
  return ttl_class - 13;
}

// What an item of a segment with this base and shift stores; nothing when the deadline is too far away for 18 bits.
// REQUIRES: deadline >= base_sec.
[[nodiscard]] constexpr std::optional<std::uint32_t> encode_expiry(std::uint32_t deadline, std::uint32_t base_sec,
                                                                   unsigned shift) noexcept {
  if (deadline == kNever) return kExpiryNever;
  const std::uint64_t grains = (std::uint64_t{deadline} + (1U << shift) - 1) >> shift;
  const std::uint64_t code = grains - (base_sec >> shift);
  if (code >= kExpiryNever) return std::nullopt;
  return static_cast<std::uint32_t>(code);
}

[[nodiscard]] constexpr std::uint32_t decode_expiry(std::uint32_t code, std::uint32_t base_sec,
                                                    unsigned shift) noexcept {
  if (code == kExpiryNever) return kNever;
  const std::uint64_t deadline = (std::uint64_t{base_sec >> shift} + code) << shift;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(deadline, kNever - 1));
}

}  // namespace pelikan::storage::segcache
