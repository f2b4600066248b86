// Plays a trace into the storage engine, in this process and as fast as it goes.
//
// Owner:   main. Threads: replay() makes as many as it is told; their requests take turns, 64 at a time.
// Time:    the trace's. The storage sees whole seconds, floor and ceil the same; its turn comes with every new second
//          and every kTurnRequests requests, as a worker's would.
// Counted: nothing of the first fifth of the requests, which fills the cache.
// Failure: settings that make no sense throw, see the storage. An item that can never fit is counted in `refused`.
#pragma once

#include <cstdint>
#include <string>

#include "storage/segcache/options.h"
#include "tools/replay/trace.h"

namespace pelikan::tools::replay {

inline constexpr std::uint32_t kTurnRequests = 64;

struct Outcome {
  std::string policy;
  std::uint64_t requests = 0;
  std::uint64_t gets = 0;
  std::uint64_t misses = 0;
  std::uint64_t get_bytes = 0;   // keys and values that were asked for
  std::uint64_t miss_bytes = 0;  // of these, not there
  std::uint64_t refused = 0;
  double seconds = 0;
  std::uint64_t heap_bytes = 0;
  std::uint64_t index_bytes = 0;
  std::uint64_t policy_bytes = 0;
  std::uint64_t memory_bytes = 0;  // heap, index, policy, segment headers
  std::uint64_t segment_bytes = 0;
  std::uint64_t items = 0;             // at the end
  double overhead_bytes_per_item = 0;  // header, alignment, index and policy: the cost besides key and value

  [[nodiscard]] double object_miss_ratio() const noexcept;
  [[nodiscard]] double byte_miss_ratio() const noexcept;
  [[nodiscard]] double requests_per_second() const noexcept;
};

[[nodiscard]] Outcome replay(const Trace& trace, const storage::segcache::SegOptions& options, unsigned threads = 1);
// The same with the largest heap that leaves room in `memory_bytes` for all that the storage needs besides. As this is
// known only afterwards, the trace is played several times. The index starts small unless seg.hash_power is set.
[[nodiscard]] Outcome replay_within(const Trace& trace, storage::segcache::SegOptions& options,
                                    std::uint64_t memory_bytes, unsigned threads = 1);

[[nodiscard]] std::string json(const Outcome& outcome, const Trace& trace);  // one line
// For people: the head, then a line per run, which may be printed as soon as it is done.
[[nodiscard]] std::string table_head();
[[nodiscard]] std::string table_row(const Outcome& outcome, const Trace& trace);
// What the trace is, and how many of its lines were left out.
[[nodiscard]] std::string describe(const Trace& trace);

}  // namespace pelikan::tools::replay
