// One thread's connections to the target, with requests on them.
//
// Closed loop: a batch goes out, and the next when all of it is answered; its latency counts for each request in it.
// Open loop: a request goes at the time that the Pacer says, on the connection that has waited longest of those with
// room (fewer than `pipeline` requests under way); its latency counts from that time. All that is due in a turn goes
// together, one send per connection. Between turns the thread sleeps while the next request is more than about a
// millisecond away, and else looks again at once: the loop's timeout counts milliseconds, and a wake-up would come
// tens of microseconds late. So above some 1,000 requests per second and thread a core is fully used.
//
// Owner:   run(). Threads: one.
// Time:    one reading per turn and one per piece of replies.
// Failure: whatever the target does becomes a Trouble in the tally. A target that answers nothing for kSilenceMax ends
//          a run. After the measured time an open loop sends what is due for up to kLastAnswersMax; then both loops
//          wait as long for the last answers.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "tools/bench/load.h"
#include "tools/bench/options.h"
#include "tools/bench/pacer.h"
#include "tools/bench/workload.h"

namespace pelikan::tools::bench {

class Client final : public Load {
 public:
  Client(const Options& options, std::uint32_t thread);
  ~Client() override;

  void prepare() override;
  void measure(Instant begin) override;
  void finish() override;

 private:
  class Connection;

  void connect();
  // Until at most so many are under way; false: the target has answered none of them for too long, they are given up.
  [[nodiscard]] bool await_handshakes(std::size_t under_way_max);
  // Keeps all connections busy until `deadline` (or, when filling, until every key is stored), then waits for what is
  // under way.
  void drive(Instant deadline);
  void start(Connection& connection);
  void drive_open_loop(Instant begin, Instant deadline);
  void send_due(std::uint64_t now_ns);
  [[nodiscard]] Connection* next_with_room();
  void answered(Connection& connection);
  void await_last_answers(Instant since);
  void give_up_waiting();

  const std::uint32_t thread_;
  Workload workload_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::size_t open_ = 0;     // connections not closed
  std::size_t working_ = 0;  // connections with requests under way
  std::size_t shaking_ = 0;  // connections whose TLS handshake is under way
  bool stopping_ = false;    // no new batches
  Instant last_news_;        // the last answer, or the first request after a time without any under way

  // Open loop
  std::optional<Pacer> pacer_;
  bool pacing_ = false;               // measuring: requests go one by one
  std::deque<Connection*> roomy_;     // connections with room, the one that has waited longest first
  std::vector<Connection*> touched_;  // have got requests in this turn
};

}  // namespace pelikan::tools::bench
