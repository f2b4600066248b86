// pelikan-bench: load for a cache server. docs/tools.md has the options.
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>

#include "net/fd.h"
#include "tools/bench/echo_server.h"
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

// Signals that end the server are read from a descriptor; they must be blocked before there are threads.
int serve_echo(const pelikan::tools::bench::Options& options) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  const pelikan::net::Fd stop(signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC));
  if (!stop) throw std::runtime_error(std::string("signalfd: ") + std::strerror(errno));
  raise_descriptor_limit();
  const auto& [host, port, path] = *options.echo_server;
  pelikan::tools::bench::EchoServer server(host, port, options.echo, stop.get());
  std::printf("listening server=%s\n", server.name().c_str());
  std::fflush(stdout);
  server.run();
  return 0;
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
    if (invocation.options && invocation.options->echo_server) return serve_echo(*invocation.options);
    if (auto options = invocation.options) {
      options->progress = options->progress || (!options->json && isatty(STDERR_FILENO) == 1);
      return run_and_report(*options);
    }
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
