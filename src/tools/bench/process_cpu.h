// How much CPU time another process has used.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string_view>

namespace pelikan::tools::bench {

// User and system time of all its threads, in steps of the kernel's clock tick (10 ms). Nothing when there is no such
// process.
[[nodiscard]] std::optional<double> process_cpu_seconds(pid_t pid);
// The same from the text of /proc/PID/stat, in ticks.
[[nodiscard]] std::optional<unsigned long long> cpu_ticks(std::string_view stat);

}  // namespace pelikan::tools::bench
