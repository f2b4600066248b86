// The miss-ratio curve as an SVG picture: object miss ratio over heap size, one line per policy.
//
// Text, grid and ground follow the viewer's colour scheme; the ground is drawn, so a viewer that knows none shows dark
// on light. Lines have colours of at least 3:1 on both grounds, and marks that tell them apart without colour.
// Owner: main. Threads: one. Failure: none; whatever is in `name` and in the numbers, the result is well-formed XML.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "tools/replay/replay.h"

namespace pelikan::tools::replay {

// `name` is that of the trace, for the heading.
[[nodiscard]] std::string draw_chart(std::span<const Outcome> outcomes, const Trace& trace, std::string_view name);

}  // namespace pelikan::tools::replay
