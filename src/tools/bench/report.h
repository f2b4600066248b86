// How a run is told: one line of JSON for scripts, a few lines for people.
#pragma once

#include <string>

#include "tools/bench/options.h"
#include "tools/bench/tally.h"

namespace pelikan::tools::bench {

[[nodiscard]] std::string json(const Options& options, const Tally& tally);
[[nodiscard]] std::string table(const Options& options, const Tally& tally);

// False: more than 1 % of an open loop's requests went late by this program's doing, and its latencies say more about
// this program than about the target.
[[nodiscard]] bool kept_up(const PaceCounts& pace) noexcept;

}  // namespace pelikan::tools::bench
