// Many connections to one target, each in a closed loop: a batch goes out, and the next when all of it is answered.
//
// Owner:   main. Threads: one.
// Time:    one reading per batch sent and one per batch answered; a batch's latency counts for each request in it.
// Failure: whatever the target does becomes a Trouble in the tally. A target that answers nothing for kSilenceMax ends
//          a run.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/buffer.h"
#include "net/loop.h"
#include "tools/bench/dialogue.h"
#include "tools/bench/options.h"
#include "tools/bench/tally.h"
#include "tools/bench/workload.h"

namespace pelikan::tools::bench {

class Client {
 public:
  explicit Client(const Options& options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Connects, fills if that is wanted, measures, closes. Call once.
  [[nodiscard]] Tally run();

 private:
  class Connection;
  using Instant = std::chrono::steady_clock::time_point;

  void connect();
  // Keeps all connections busy until `deadline` (or, when filling, until every key is stored), then waits for what is
  // under way.
  void drive(Instant deadline);
  void start(Connection& connection);
  void give_up_waiting();
  void close_all();
  void turn();

  Options options_;
  Workload workload_;
  Tally tally_;
  BufferPool pool_;
  std::unique_ptr<net::Loop> loop_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::size_t open_ = 0;     // connections not closed
  std::size_t working_ = 0;  // connections with a batch under way
  bool stopping_ = false;    // no new batches
  Instant last_answer_;
};

}  // namespace pelikan::tools::bench
