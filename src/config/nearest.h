// The known word that a mistyped one most resembles.
#pragma once

#include <cstddef>
#include <string_view>

namespace pelikan::config {

// Letters to insert, delete, replace or swap with their neighbour to turn `a` into `b`.
// Only the first 64 bytes of each count.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b) noexcept;

}  // namespace pelikan::config
