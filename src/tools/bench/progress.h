// A line a second about a run that goes on: requests per second, latency until now, errors.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>

#include "tools/bench/tally.h"

namespace pelikan::tools::bench {

// What a load's thread has counted until now, for another thread that asks. Until somebody asks it costs the load one
// look at a flag per turn.
class Snapshot {
 public:
  // The load's thread, between turns.
  void answer(const Tally& tally) {
    if (asked_.load(std::memory_order_relaxed)) publish(tally);
  }
  // The thread that asks. Nothing: no answer within `limit`.
  [[nodiscard]] std::optional<Tally> ask(std::chrono::milliseconds limit);

 private:
  void publish(const Tally& tally);

  std::atomic<bool> asked_{false};
  std::mutex mutex_;
  std::condition_variable answered_;
  std::optional<Tally> tally_;  // with mutex_
};

// One line, without its end: `before` was seen `seconds` earlier.
[[nodiscard]] std::string progress_line(const Tally& before, const Tally& now, double seconds);

// Writes from a thread of its own, from construction to destruction. On a terminal each line replaces the one before,
// and the last one is wiped out.
class ProgressReport {
 public:
  // REQUIRES: the snapshots live longer. A load whose thread does not answer in time is left out.
  ProgressReport(std::span<Snapshot* const> loads, std::FILE* out);

 private:
  void run(const std::stop_token& stop);
  void write(const std::string& line);

  const std::span<Snapshot* const> loads_;
  std::FILE* const out_;
  const bool terminal_;
  std::jthread thread_;  // last: uses the others
};

}  // namespace pelikan::tools::bench
