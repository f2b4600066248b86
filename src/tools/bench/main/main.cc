// pelikan-bench: load for a cache server. docs/tools.md has the options.
#include <sys/resource.h>

#include <cstdio>
#include <exception>

#include "tools/bench/load.h"
#include "tools/bench/options.h"
#include "tools/bench/process_cpu.h"
#include "tools/bench/report.h"

namespace {

constexpr int kExitNothingWorked = 1;
constexpr int kExitUsage = 78;

// As many connections as the system allows, without asking the user to call ulimit.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int run_and_report(const pelikan::tools::bench::Options& options) {
  using namespace pelikan::tools::bench;
  if (options.target_pid && !process_cpu_seconds(*options.target_pid)) {
    throw UsageError("--target-pid: there is no process " + std::to_string(*options.target_pid));
  }
  raise_descriptor_limit();
  const Tally tally = run(options);
  std::puts((options.json ? json(options, tally) : table(options, tally)).c_str());
  if (options.json && tally.errors() > 0) {
    std::fprintf(stderr, "pelikan-bench: first error: %s\n", tally.first_trouble().c_str());
  }
  return tally.requests > 0 ? 0 : kExitNothingWorked;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const auto invocation = pelikan::tools::bench::parse_options(argc, argv);
    if (invocation.options) return run_and_report(*invocation.options);
    std::fputs(invocation.text.c_str(), stdout);
    return 0;
  } catch (const pelikan::tools::bench::UsageError& error) {
    std::fprintf(stderr, "pelikan-bench: %s\n", error.what());
    return kExitUsage;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "pelikan-bench: %s\n", error.what());
    return kExitNothingWorked;
  }
}
