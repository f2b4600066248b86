// What the kernel knows about this process: pid, getrusage, memory, start time. Names are Pelikan's (ru_*) and
// Prometheus's (process_*). Owner: the admin server; one per process.
#pragma once

#include <cstdint>

#include "metrics/metrics.h"

namespace pelikan::metrics {

struct ResidentMemory {
  std::int64_t virtual_bytes = 0;
  std::int64_t bytes = 0;
  std::int64_t file_bytes = 0;  // of these, pages of files: the program and its libraries
};
// As /proc/self/statm has it; zeros when it cannot be read.
[[nodiscard]] ResidentMemory resident_memory();

class ProcessCollector {
 public:
  ProcessCollector();

 private:
  Collector collector_;
};

}  // namespace pelikan::metrics
