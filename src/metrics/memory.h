// Where the memory of the process is: parts that add up to what the kernel counts as resident.
//
// What can be counted is counted by its owner and published as a metric (heap_bytes, hash_bytes, policy_bytes,
// session_buffer_byte). What clients cost beside their buffers (sessions, TLS state) is what malloc has handed out
// since the start. Code is what the kernel says of mapped files. The rest, anonymous memory that was there before the
// first client came (stacks, metrics, log, tables), is fixed: measured once, by mark().
// Owner:   the server's main; one per process. Threads: mark() on any, once; the numbers on any.
// Cost:    malloc is asked (mallinfo2), which walks its free lists: a matter of stats and scrapes, not of requests.
// Limits:  stacks and receive buffers of io_uring that are touched later are in no part; sanitizers have a malloc of
//          their own, under which the parts that come from malloc are 0.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>
#include <vector>

#include "metrics/metrics.h"

namespace pelikan::metrics {

class MemoryCollector {
 public:
  MemoryCollector();
  // All threads run and no client has come.
  void mark();

 private:
  std::atomic<std::int64_t> fixed_bytes_{0};
  std::atomic<std::int64_t> malloc_at_start_bytes_{0};
  Collector collector_;
};

struct MemoryPart {
  std::string_view name;
  std::int64_t bytes = 0;
};

// In the order to be shown; the last two are their sum and what is resident.
[[nodiscard]] std::vector<MemoryPart> memory_parts(const Snapshot& snapshot);

}  // namespace pelikan::metrics
