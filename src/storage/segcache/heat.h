// How often an item was asked for, in the 14 bits that an item header leaves to the eviction policy. What a policy
// counts is one of two things.
//
//   kSeconds   | second 7 | hits 7 |            second: the low bits of the second of the last hit that was looked at
//   kRounds    | unused 3 | state 4 | hits 7 |  state: what the policy made of the hits it counted before (seger.h)
//
// Seconds: a burst counts once, since there is at most one hit per second. Up to 16 every one counts, above that one in
// `hits` does, and 127 is the end. (A hit exactly 128 s, or a multiple, after the last one is not counted.)
// Rounds: hits since the policy last looked at the item; 15 is the end.
// Either way a hot item stops being written.
#pragma once

#include <cstdint>

namespace pelikan::storage::segcache {

using Heat = std::uint32_t;
inline constexpr unsigned kHeatBits = 14;
inline constexpr unsigned kHitsBits = 7;
inline constexpr std::uint32_t kHitsMax = (1U << kHitsBits) - 1;
inline constexpr std::uint32_t kHitsExact = 16;
inline constexpr std::uint32_t kRoundHitsMax = 15;

enum class HeatKind : std::uint8_t { kSeconds, kRounds };

[[nodiscard]] constexpr std::uint32_t heat_hits(Heat heat) noexcept { return heat & kHitsMax; }
[[nodiscard]] constexpr std::uint32_t heat_state(Heat heat) noexcept { return heat >> kHitsBits; }
[[nodiscard]] constexpr Heat heat_of_state(std::uint32_t state) noexcept { return state << kHitsBits; }

// kSeconds. `random` is called only when chance decides.
template <class Random>
[[nodiscard]] constexpr Heat heat_after_hit(Heat heat, std::uint32_t now_sec, Random&& random) noexcept {
  const std::uint32_t hits = heat_hits(heat);
  const std::uint32_t second = now_sec & 127;
  if (hits == kHitsMax || (hits != 0 && heat >> kHitsBits == second)) return heat;
  const bool counts = hits <= kHitsExact || random() % hits == 0;
  return (second << kHitsBits) | (hits + counts);
}

// kRounds.
[[nodiscard]] constexpr Heat heat_after_hit(Heat heat) noexcept { return heat + (heat_hits(heat) < kRoundHitsMax); }

}  // namespace pelikan::storage::segcache
