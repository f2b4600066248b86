// pelikan-replay: a request trace against the storage engine, without a network. README.md has the options.
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>

#include "config/config.h"
#include "storage/segcache/options.h"
#include "tools/replay/options.h"
#include "tools/replay/replay.h"
#include "tools/replay/source.h"
#include "tools/replay/trace.h"

namespace {

using namespace pelikan;
using namespace pelikan::tools::replay;

constexpr int kExitTrace = 1;

void show(const Outcome& outcome, const Trace& trace, const Options& options) {
  std::puts((options.json ? json(outcome, trace) : table(outcome, trace)).c_str());
  std::fflush(stdout);  // a run may take long: each is shown when it is done
}

void run(const Options& options) {
  storage::segcache::SegOptions seg;
  config::Config config{seg};
  for (const std::string& setting : options.settings) config.set(setting);
  for (const std::string& warning : config.warnings()) std::fprintf(stderr, "pelikan-replay: %s\n", warning.c_str());

  Source source(options.trace);
  const Trace trace = read_twitter(source);
  std::fprintf(options.json ? stderr : stdout, "%s\n", describe(trace).c_str());
  if (options.fractions.empty()) return show(replay(trace, seg), trace, options);
  for (const double fraction : options.fractions) {
    const auto bytes = static_cast<std::uint64_t>(fraction * static_cast<double>(trace.footprint_bytes));
    if (options.fractions_of_memory) {
      show(replay_within(trace, seg, bytes), trace, options);
    } else {
      config.set("seg.heap_size=" + std::to_string(bytes));
      show(replay(trace, seg), trace, options);
    }
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
