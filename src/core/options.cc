#include "core/options.h"

#include <sys/resource.h>

#include <algorithm>

namespace pelikan::core {

std::size_t fit_open_files(std::size_t wanted) {
  constexpr rlim_t kOwnFiles = 64;  // listening sockets, logs, rings, event descriptors, the admin port's connections
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  const rlim_t needed = wanted + kOwnFiles;
  if (limit.rlim_cur < needed) {
    limit.rlim_cur = std::min(needed, limit.rlim_max);
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
  }
  if (limit.rlim_cur >= needed) return wanted;
  return limit.rlim_cur > 2 * kOwnFiles ? limit.rlim_cur - kOwnFiles : kOwnFiles;
}

}  // namespace pelikan::core
