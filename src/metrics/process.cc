#include "metrics/process.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <string_view>

#include "base/bytes.h"

namespace pelikan::metrics {
namespace {

std::int64_t nanoseconds(const timeval& time) { return (time.tv_sec * 1'000'000 + time.tv_usec) * 1000; }

void add_usage(std::vector<Collector::Value>& out) {
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) != 0) return;
  struct Row {
    const char* name;
    const char* help;
    std::int64_t value;
    Kind kind = Kind::kCounter;
  };
  const Row rows[] = {
      {"ru_utime", "CPU time in user mode, in ns", nanoseconds(usage.ru_utime)},
      {"ru_stime", "CPU time in the kernel, in ns", nanoseconds(usage.ru_stime)},
      {"ru_maxrss", "most memory ever resident, in bytes", usage.ru_maxrss * 1024, Kind::kGauge},
      {"ru_ixrss", "shared text size (always 0 on Linux)", usage.ru_ixrss, Kind::kGauge},
      {"ru_idrss", "unshared data size (always 0 on Linux)", usage.ru_idrss, Kind::kGauge},
      {"ru_isrss", "unshared stack size (always 0 on Linux)", usage.ru_isrss, Kind::kGauge},
      {"ru_minflt", "page faults without I/O", usage.ru_minflt},
      {"ru_majflt", "page faults with I/O", usage.ru_majflt},
      {"ru_nswap", "swaps (always 0 on Linux)", usage.ru_nswap},
      {"ru_inblock", "blocks read", usage.ru_inblock},
      {"ru_oublock", "blocks written", usage.ru_oublock},
      {"ru_msgsnd", "messages sent (always 0 on Linux)", usage.ru_msgsnd},
      {"ru_msgrcv", "messages received (always 0 on Linux)", usage.ru_msgrcv},
      {"ru_nsignals", "signals received (always 0 on Linux)", usage.ru_nsignals},
      {"ru_nvcsw", "context switches by waiting", usage.ru_nvcsw},
      {"ru_nivcsw", "context switches by the scheduler", usage.ru_nivcsw},
  };
  for (const Row& row : rows) out.push_back({{row.name, row.help, row.kind, Unit::kPlain}, row.value});
}

}  // namespace

// Total, resident and file-backed resident pages, then others.
ResidentMemory resident_memory() {
  const int fd = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  std::array<char, 128> text{};
  const ssize_t size = ::read(fd, text.data(), text.size());
  ::close(fd);
  std::string_view rest(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  const auto next_bytes = [&rest] {
    const std::string_view word = rest.substr(0, rest.find(' '));
    rest.remove_prefix(std::min(word.size() + 1, rest.size()));
    return parse_decimal<std::int64_t>(word).value_or(0) * ::sysconf(_SC_PAGESIZE);
  };
  ResidentMemory memory;
  memory.virtual_bytes = next_bytes();
  memory.bytes = next_bytes();
  memory.file_bytes = next_bytes();
  return memory;
}

ProcessCollector::ProcessCollector()
    : collector_([start = static_cast<std::int64_t>(std::time(nullptr))](std::vector<Collector::Value>& out) {
        out.push_back({{"pid", "process id", Kind::kGauge, Unit::kPlain}, ::getpid()});
        out.push_back(
            {{"process_start_time_seconds", "when the process started, unix time", Kind::kGauge, Unit::kPlain}, start});
        const std::int64_t now = static_cast<std::int64_t>(std::time(nullptr));
        out.push_back({{"uptime", "seconds since the start", Kind::kGauge, Unit::kPlain}, now - start});
        add_usage(out);
        const ResidentMemory memory = resident_memory();
        out.push_back({{"process_virtual_memory_bytes", "address space in use", Kind::kGauge, Unit::kPlain},
                       memory.virtual_bytes});
        out.push_back(
            {{"process_resident_memory_bytes", "memory resident now", Kind::kGauge, Unit::kPlain}, memory.bytes});
      }) {}

}  // namespace pelikan::metrics
