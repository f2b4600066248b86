// pelikan-replay: a request trace against the storage engine, without a network. docs/tools.md has the options.
#include <fmt/format.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "config/config.h"
#include "storage/segcache/options.h"
#include "tools/replay/chart.h"
#include "tools/replay/options.h"
#include "tools/replay/replay.h"
#include "tools/replay/source.h"
#include "tools/replay/trace.h"

namespace {

using namespace pelikan;
using namespace pelikan::tools::replay;

constexpr int kExitTrace = 1;

struct Run {
  std::string policy;
  std::uint64_t bytes = 0;  // of the heap, or of all memory

  // Throws config::Error.
  void apply(config::Config& config) const {
    config.set("seg.eviction=" + policy);
    config.set("seg.heap_size=" + std::to_string(bytes));
    config.check();
  }
};

std::vector<std::string> chosen_policies(const Options& options, const storage::segcache::SegOptions& seg) {
  if (options.policies.empty()) return {seg.eviction()};
  if (options.policies == std::vector<std::string>{kAllPolicies}) return seg.eviction.words();
  return options.policies;
}

std::vector<Run> plan(const Options& options, const std::vector<std::string>& policies,
                      const storage::segcache::SegOptions& seg, const Trace& trace) {
  std::vector<std::uint64_t> heaps;
  for (const HeapSize& size : options.heap_sizes) heaps.push_back(size.of(trace.footprint_bytes));
  if (heaps.empty()) heaps = {seg.heap_size()};
  std::vector<Run> runs;
  for (const std::string& policy : policies) {
    for (const std::uint64_t heap_bytes : heaps) runs.push_back({policy, heap_bytes});
  }
  return runs;
}

// Opened before the first run: a run may take long.
std::ofstream open_chart(const std::string& path) {
  std::ofstream file(path);
  if (!file) throw UsageError(fmt::format("--chart: cannot write {}: {}", path, std::strerror(errno)));
  return file;
}

void run(const Options& options) {
  storage::segcache::SegOptions seg;
  config::Config config{seg};
  for (const std::string& setting : options.settings) config.set(setting);
  for (const std::string& warning : config.warnings()) std::fprintf(stderr, "pelikan-replay: %s\n", warning.c_str());
  const std::vector<std::string> policies = chosen_policies(options, seg);
  for (const std::string& policy : policies) config.set("seg.eviction=" + policy);  // a wrong one is told at once

  Source source(options.trace);
  const Trace trace = read_trace(source, options.format);
  std::fprintf(options.json ? stderr : stdout, "%s\n", describe(trace).c_str());
  const std::vector<Run> runs = plan(options, policies, seg, trace);
  for (const Run& each : runs) each.apply(config);  // all are found to be possible before the first begins
  std::ofstream chart;
  if (!options.chart.empty()) chart = open_chart(options.chart);

  if (!options.json) std::puts(table_head().c_str());
  std::vector<Outcome> outcomes;
  for (const Run& each : runs) {
    each.apply(config);
    outcomes.push_back(options.whole_memory ? replay_within(trace, seg, each.bytes, options.threads)
                                            : replay(trace, seg, options.threads));
    std::puts((options.json ? json(outcomes.back(), trace) : table_row(outcomes.back(), trace)).c_str());
    std::fflush(stdout);  // each is shown when it is done
  }
  if (!options.chart.empty()) {
    chart << draw_chart(outcomes, trace, options.trace.substr(options.trace.rfind('/') + 1)) << std::flush;
    if (!chart) throw std::runtime_error("cannot write " + options.chart);
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Invocation invocation = parse_options(argc, argv);
    if (invocation.options) {
      run(*invocation.options);
    } else {
      std::fputs(invocation.text.c_str(), stdout);
    }
    return 0;
  } catch (const UsageError& error) {
    std::fprintf(stderr, "pelikan-replay: %s\n", error.what());
    return config::kExitBadConfig;
  } catch (const config::Error& error) {
    std::fprintf(stderr, "pelikan-replay: %s\n", error.what());
    return config::kExitBadConfig;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "pelikan-replay: %s\n", error.what());
    return kExitTrace;
  }
}
