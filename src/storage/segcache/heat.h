// How often an item was asked for, in the 14 bits that an item header leaves to the eviction policy.
//
//   13         7 6          0
//   | second 7 |  hits 7   |       second: the low bits of the second of the last hit that was looked at
//
// A burst counts once: at most one hit per second. Up to 16 every one counts, above that one in `hits` does, and 127 is
// the end: an approximate counter whose hot items stop being written. (A hit exactly 128 s, or a multiple, after the
// last one is not counted.)
#pragma once

#include <cstdint>

namespace pelikan::storage::segcache {

using Heat = std::uint32_t;
inline constexpr unsigned kHeatBits = 14;
inline constexpr std::uint32_t kHitsMax = 127;
inline constexpr std::uint32_t kHitsExact = 16;

[[nodiscard]] constexpr std::uint32_t heat_hits(Heat heat) noexcept { return heat & kHitsMax; }

// `random` is called only when chance decides.
template <class Random>
[[nodiscard]] constexpr Heat heat_after_hit(Heat heat, std::uint32_t now_sec, Random&& random) noexcept {
  const std::uint32_t hits = heat_hits(heat);
  const std::uint32_t second = now_sec & 127;
  if (hits == kHitsMax || (hits != 0 && heat >> 7 == second)) return heat;
  const bool counts = hits <= kHitsExact || random() % hits == 0;
  return (second << 7) | (hits + counts);
}

}  // namespace pelikan::storage::segcache
