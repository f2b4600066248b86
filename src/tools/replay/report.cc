// How an Outcome is told.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tools/replay/replay.h"

namespace pelikan::tools::replay {
namespace {

constexpr double kMega = 1e6;

double part_of_footprint(std::uint64_t bytes, const Trace& trace) {
  return static_cast<double>(bytes) / static_cast<double>(std::max<std::uint64_t>(trace.footprint_bytes, 1));
}

}  // namespace

std::string json(const Outcome& outcome, const Trace& trace) {
  nlohmann::ordered_json out;
  out["requests"] = outcome.requests;
  out["gets"] = outcome.gets;
  out["misses"] = outcome.misses;
  out["object_miss_ratio"] = outcome.object_miss_ratio();
  out["byte_miss_ratio"] = outcome.byte_miss_ratio();
  out["ops_per_second"] = outcome.requests_per_second();
  out["heap_bytes"] = outcome.heap_bytes;
  out["index_bytes"] = outcome.index_bytes;
  out["policy_bytes"] = outcome.policy_bytes;
  out["memory_bytes"] = outcome.memory_bytes;
  out["overhead_bytes_per_item"] = outcome.overhead_bytes_per_item;
  out["items"] = outcome.items;
  out["refused"] = outcome.refused;
  out["segment_bytes"] = outcome.segment_bytes;
  out["footprint_bytes"] = trace.footprint_bytes;
  out["heap_fraction"] = part_of_footprint(outcome.heap_bytes, trace);
  out["memory_fraction"] = part_of_footprint(outcome.memory_bytes, trace);
  out["trace_requests"] = trace.requests.size();
  out["trace_keys"] = trace.keys.count();
  out["malformed_lines"] = trace.malformed_lines;
  return out.dump();
}

std::string table(const Outcome& outcome, const Trace& trace) {
  return fmt::format(
      "heap {:.2f} MB ({:.3f} of the footprint) in segments of {} KiB\n"
      "  object miss ratio {:.4f}  byte miss ratio {:.4f}  ({} misses in {} gets, {} requests counted, {} refused)\n"
      "  {:.2f} M operations/s  index {:.2f} MB  all memory {:.2f} MB ({:.3f})  {} items  overhead {:.1f} B per item",
      static_cast<double>(outcome.heap_bytes) / kMega, part_of_footprint(outcome.heap_bytes, trace),
      outcome.segment_bytes / 1024, outcome.object_miss_ratio(), outcome.byte_miss_ratio(), outcome.misses,
      outcome.gets, outcome.requests, outcome.refused, outcome.requests_per_second() / kMega,
      static_cast<double>(outcome.index_bytes) / kMega, static_cast<double>(outcome.memory_bytes) / kMega,
      part_of_footprint(outcome.memory_bytes, trace), outcome.items, outcome.overhead_bytes_per_item);
}

std::string describe(const Trace& trace) {
  std::string text = fmt::format("{} requests, {} keys, footprint {:.1f} MB", trace.requests.size(), trace.keys.count(),
                                 static_cast<double>(trace.footprint_bytes) / kMega);
  if (trace.malformed_lines > 0) {
    text += fmt::format("\n{} malformed lines left out, the first is line {}", trace.malformed_lines,
                        trace.first_malformed_line);
  }
  if (trace.backward_steps > 0) {
    text += fmt::format("\n{} requests older than the one before: given its time", trace.backward_steps);
  }
  return text;
}

}  // namespace pelikan::tools::replay
