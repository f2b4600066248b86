// Who executes requests, and how many services that takes. Whole processes are tests/process_test.py's.
#include "core/process.h"

#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <string>
#include <thread>

#include "backend/ping/noop.h"
#include "testing/fake_clock.h"

namespace pelikan::core {
namespace {

struct Options : CoreOptions {
  Options(std::uint64_t workers, const std::string& execution) {
    server.port.set(0);
    server.max_connections.set(16);
    worker.threads.set(workers);
    storage.execution.set(execution);
  }
};

struct Row {
  std::uint64_t workers;
  const char* wanted;
  bool thread_safe;
  Execution execution;
  int services;
};

constexpr Row kRows[] = {
    {1, "auto", false, Execution::kOwned, 1},   {1, "auto", true, Execution::kOwned, 1},
    {1, "shared", false, Execution::kOwned, 1}, {1, "thread", true, Execution::kThread, 1},
    {3, "auto", false, Execution::kThread, 1},  {3, "auto", true, Execution::kShared, 3},
    {3, "shared", true, Execution::kShared, 3}, {3, "thread", true, Execution::kThread, 1},
};

TEST(Process, MakesAServiceForEachThreadThatExecutes) {
  const testing::FakeClock clock;
  backend::ping::Noop noop;
  for (const Row& row : kRows) {
    SCOPED_TRACE(std::to_string(row.workers) + " " + row.wanted + (row.thread_safe ? ", thread-safe" : ""));
    const Options options(row.workers, row.wanted);
    int made = 0;
    const Services services{.thread_safe = row.thread_safe, .make = [&] {
                              ++made;
                              return std::make_unique<ServiceFor<protocol::ping::Protocol, backend::ping::Noop>>(noop);
                            }};
    Process process(options, services, clock);
    EXPECT_EQ(process.execution(), row.execution);
    EXPECT_EQ(made, row.services);
    std::set<const Service*> used;
    for (std::size_t i = 0; i < process.workers(); ++i) used.insert(&process.worker(i).service());
    EXPECT_EQ(used.size(), static_cast<std::size_t>(row.services));
  }
}

// A worker that polls uses a whole core, and is idle nevertheless: sessions may go to it and need not leave it.
TEST(Process, BusyPollingIsNoLoad) {
  const testing::FakeClock clock;
  backend::ping::Noop noop;
  Options options(2, "shared");
  options.net.engine.set("epoll");  // TSan does not see io_uring
  options.net.busy_poll.set(std::chrono::seconds(1));
  const Services services{.thread_safe = true, .make = [&] {
                            return std::make_unique<ServiceFor<protocol::ping::Protocol, backend::ping::Noop>>(noop);
                          }};
  Process process(options, services, clock);
  process.start();
  unsigned loads[2] = {1000, 1000};
  std::thread watcher([&] {
    for (std::size_t i = 0; i < 2; ++i) {
      const Worker& worker = process.worker(i);
      while (worker.polled_ns() < 4 * Balancer::kIntervalMs * 1'000'000ULL) std::this_thread::yield();
      loads[i] = worker.load_permille();
    }
    Process::request_shutdown();
  });
  process.wait({.on_drain = [] {}, .on_hangup = [] {}});
  watcher.join();
  EXPECT_LT(loads[0], 200u);
  EXPECT_LT(loads[1], 200u);
}

TEST(Process, DoesNotShareWhatIsNotThreadSafe) {
  try {
    (void)choose_execution(Options(2, "shared"), false);
    FAIL();
  } catch (const config::Error& error) {
    EXPECT_NE(std::string(error.what()).find("storage.execution = shared"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace pelikan::core
