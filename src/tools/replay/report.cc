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
  out["policy"] = outcome.policy;
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

std::string table_head() {
  return fmt::format("{:<12} {:>12} {:>9} {:>8} {:>11} {:>11} {:>9} {:>11} {:>9} {:>8} {:>10}", "policy", "heap, MB",
                     "footprint", "segment", "object miss", "byte miss", "refused", "items", "overhead", "index",
                     "M ops/s");
}

std::string table_row(const Outcome& outcome, const Trace& trace) {
  return fmt::format(
      "{:<12} {:>12.2f} {:>7.2f} % {:>5} KB {:>11.4f} {:>11.4f} {:>9} {:>11} {:>7.1f} B {:>5.1f} MB {:>10.2f}",
      outcome.policy, static_cast<double>(outcome.heap_bytes) / kMega,
      part_of_footprint(outcome.heap_bytes, trace) * 100, outcome.segment_bytes / 1024, outcome.object_miss_ratio(),
      outcome.byte_miss_ratio(), outcome.refused, outcome.items, outcome.overhead_bytes_per_item,
      static_cast<double>(outcome.index_bytes) / kMega, outcome.requests_per_second() / kMega);
}

std::string describe(const Trace& trace) {
  std::string text = fmt::format("{} requests, {} keys, footprint {:.1f} MB", trace.requests.size(), trace.keys.count(),
                                 static_cast<double>(trace.footprint_bytes) / kMega);
  if (trace.malformed_lines > 0) {
    const char* what = trace.format == Format::kTwitter ? "line" : "record";
    text += fmt::format("\n{} malformed {}s left out, the first is {} {}", trace.malformed_lines, what, what,
                        trace.first_malformed_line);
  }
  if (trace.backward_steps > 0) {
    text += fmt::format("\n{} requests older than the one before: given its time", trace.backward_steps);
  }
  return text;
}

}  // namespace pelikan::tools::replay
