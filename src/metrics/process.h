// What the kernel knows about this process: pid, getrusage, memory, start time. Names are Pelikan's (ru_*) and
// Prometheus's (process_*). Owner: the admin server; one per process.
#pragma once

#include "metrics/metrics.h"

namespace pelikan::metrics {

class ProcessCollector {
 public:
  ProcessCollector();

 private:
  Collector collector_;
};

}  // namespace pelikan::metrics
