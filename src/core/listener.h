// The listener: its own thread and loop; accepts, refuses what is over the limit, and hands established sessions to the
// worker.
//
// Owner:   Process. Threads: run() on its own; stop() on any.
// Trouble: when the process is out of descriptors or memory, accepting pauses for kAcceptPauseMs; clients wait in the
//          backlog.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "core/worker.h"
#include "metrics/metrics.h"
#include "net/loop.h"
#include "net/socket.h"

namespace pelikan::core {

struct ListenerMetrics : metrics::Group {
  metrics::Counter event_loop{this, "listener_event_loop", "turns of the listener's event loop"};
  metrics::Counter event_error{this, "listener_event_error", "accepts that failed for want of descriptors or memory"};
  metrics::Counter pause_time{this, "listener_pause_time", "microseconds for which accepting was paused"};
  metrics::Counter session_discard{this, "listener_session_discard",
                                   "sessions closed because the worker's queue was full"};
  metrics::Gauge accepting{this, "listener_accepting", "1 while connections are accepted, 0 while that is paused"};
  metrics::Counter tcp_accept{this, "tcp_accept", "connections accepted"};
  metrics::Counter tcp_reject{this, "tcp_reject", "connections refused: server.max_connections reached"};
};

class Listener final : public net::Acceptor {
 public:
  static constexpr int kAcceptPauseMs = 50;
  static constexpr int kLastTurns = 4096;  // of accepting what is in the backlog when the server stops

  // `sockets` stay the caller's. REQUIRES: they outlive the listener's thread.
  Listener(const net::LoopOptions& loop, const std::vector<net::Listening>& sockets, std::size_t max_connections,
           std::string refusal, Worker& worker, const Clock& clock);

  void run();
  void stop();

  void on_accept(net::Fd fd) override;
  void on_accept_error(int error) override;

 private:
  void refuse(net::Fd fd);

  ListenerMetrics metrics_;
  std::unique_ptr<net::Loop> loop_;
  const std::vector<net::Listening>& sockets_;
  const std::size_t max_connections_;
  const std::string refusal_;
  Worker& worker_;
  const Clock& clock_;
  std::uint64_t paused_at_ns_ = 0;  // 0: accepting
  std::atomic<bool> stop_wanted_{false};
};

}  // namespace pelikan::core
