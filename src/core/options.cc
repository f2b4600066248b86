#include "core/options.h"

#include <sched.h>
#include <sys/resource.h>

#include <algorithm>

namespace pelikan::core {

std::uint64_t processors() noexcept {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return static_cast<std::uint64_t>(std::max(CPU_COUNT(&set), 1));
}

std::size_t fit_open_files(std::size_t wanted) {
  constexpr rlim_t kOwnFiles = 128;  // the admin port's connections, listening sockets, logs, rings
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  const rlim_t needed = wanted + kOwnFiles;
  if (limit.rlim_cur < needed) {
    limit.rlim_cur = std::min(needed, limit.rlim_max);
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
  }
  if (limit.rlim_cur >= needed) return wanted;
  const rlim_t fit = limit.rlim_cur > 2 * kOwnFiles ? limit.rlim_cur - kOwnFiles : limit.rlim_cur / 2;
  return std::min<std::size_t>(wanted, fit);
}

}  // namespace pelikan::core
