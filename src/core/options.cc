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

std::size_t fit_open_files(std::size_t wanted, std::size_t loops) {
  // The admin port's connections, listening sockets, logs; and each loop's ring or epoll, and its wake-up.
  const rlim_t own_files = 128 + 2 * loops;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  const rlim_t needed = wanted + own_files;
  if (limit.rlim_cur < needed) {
    limit.rlim_cur = std::min(needed, limit.rlim_max);
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
  }
  if (limit.rlim_cur >= needed) return wanted;
  const rlim_t fit = limit.rlim_cur > 2 * own_files ? limit.rlim_cur - own_files : limit.rlim_cur / 2;
  return std::min<std::size_t>(wanted, fit);
}

}  // namespace pelikan::core
