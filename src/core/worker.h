// A worker: one thread, one event loop, its sessions and (in this shape) the storage. Runs every request to completion.
//
// Owner:   Process. Threads: run() on its own; hand_over() on the listener's; post(), start_drain(), stop() and
//          connections() on any; everything else only on the worker's, which is where sessions and services call it
//          from.
// Bounds:  sessions by server.max_connections; buffers by server.buffer_memory (above it the session that holds most is
//          closed).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/clock.h"
#include "core/session.h"
#include "metrics/metrics.h"
#include "net/loop.h"
#include "queue/spsc_ring.h"

namespace pelikan::core {

struct WorkerMetrics : metrics::Group {
  metrics::Counter event_loop{this, "worker_event_loop", "turns of the worker's event loop"};
  metrics::Counter event_read{this, "worker_event_read", "streams that had received data, summed over turns"};
  metrics::Counter process_req{this, "process_req", "requests executed"};
  metrics::Counter session_recv{this, "session_recv", "receives"};
  metrics::Counter session_recv_byte{this, "session_recv_byte", "bytes received"};
  metrics::Counter session_send{this, "session_send", "sends"};
  metrics::Counter session_send_byte{this, "session_send_byte", "bytes handed over for sending"};
  metrics::Counter session_invalid{this, "session_invalid", "sessions closed for bytes that make no sense"};
  metrics::Counter session_yield{this, "session_yield",
                                 "times a session gave way to others, or to its own slow reading"};
  metrics::Counter session_idle_kick{this, "session_idle_kick", "sessions closed by idle_timeout"};
  metrics::Counter session_buffer_exhausted{this, "session_buffer_exhausted",
                                            "sessions closed to stay below buffer_memory"};
  metrics::Counter tcp_close{this, "tcp_close", "connections closed"};
  metrics::Gauge tcp_conn_curr{this, "tcp_conn_curr", "open connections"};
  metrics::Gauge session_buffer_byte{this, "session_buffer_byte", "bytes in receive and send buffers"};
  metrics::Histogram request_latency{this, "request_latency",
                                     "ns from the turn that received a request to its reply's hand-over"};
};

struct WorkerSettings {
  net::LoopOptions loop;
  std::size_t buffer_bytes_max = 256u << 20;
  std::uint32_t idle_timeout_sec = 0;
  int wait_ms = 100;
  std::size_t handover_capacity = 4096;  // established sessions that may wait; a power of two
};

// What `stats conns` shows of one.
struct ConnectionView {
  int fd;
  std::uint32_t idle_sec;
  bool waiting;  // has requests that may not be executed yet
};

class Worker {
 public:
  Worker(const WorkerSettings& settings, Service& service, const Clock& clock);
  ~Worker();

  // The thread's body; returns after stop(), or when a drain has ended.
  void run();

  // False: the queue is full, the caller keeps the connection.
  [[nodiscard]] bool hand_over(net::Fd&& fd);
  // Runs `task` on the worker's thread, before the next turn's requests.
  void post(std::function<void()> task);
  // Answers what has been received by now, then closes every session. The listener must have stopped.
  void start_drain();
  void stop();
  // Open connections and those still in the queue. Listener's thread only: it alone adds to them.
  [[nodiscard]] std::size_t connections_reserved() const noexcept {
    return handed_over_ - closed_.load(std::memory_order_acquire);
  }
  [[nodiscard]] std::size_t connections() const noexcept { return connections_.load(std::memory_order_relaxed); }

  // Worker's thread only.
  [[nodiscard]] net::Loop& loop() noexcept { return *loop_; }
  [[nodiscard]] BufferPool& buffers() noexcept { return buffers_; }
  [[nodiscard]] WorkerMetrics& metrics() noexcept { return metrics_; }
  [[nodiscard]] const Time& now() const noexcept { return now_; }
  [[nodiscard]] std::uint32_t idle_timeout_sec() const noexcept { return settings_.idle_timeout_sec; }
  void count_requests(std::size_t count) noexcept { turn_requests_ += count; }
  void make_ready(Session& session) { ready_.push_back(&session); }
  void bury(Session& session);
  void visit_connections(const std::function<void(const ConnectionView&)>& visit) const;

 private:
  static constexpr std::size_t kSweepPerTurn = 128;

  [[nodiscard]] bool turn();
  void run_tasks();
  void adopt_established();
  void run_ready();
  void sweep_deadlines();
  void shed_buffers();
  void begin_drain();

  const WorkerSettings settings_;
  Service& service_;
  const Clock& clock_;
  WorkerMetrics metrics_;
  BufferPool buffers_;  // outlives the sessions and the loop, whose buffers come from it
  std::unique_ptr<net::Loop> loop_;

  std::vector<std::unique_ptr<Session>> sessions_;  // by slot; null = free
  std::vector<std::uint32_t> generations_;          // by slot
  std::vector<std::uint32_t> free_slots_;
  std::vector<Session*> ready_;
  std::vector<Session*> ready_now_;
  std::vector<std::unique_ptr<Session>> graveyard_;

  Time now_;
  std::size_t turn_requests_ = 0;
  std::size_t sweep_slot_ = 0;
  std::uint32_t sweep_sec_ = 0;
  enum class Drain : std::uint8_t { kNo, kCollect, kFinish } drain_ = Drain::kNo;

  SpscRing<net::Fd> established_;
  std::size_t handed_over_ = 0;              // the listener's
  std::atomic<std::size_t> closed_{0};       // one writer: the worker
  std::atomic<std::size_t> connections_{0};  // one writer: the worker
  std::atomic<bool> drain_wanted_{false};
  std::atomic<bool> stop_wanted_{false};
  std::mutex tasks_mutex_;
  std::vector<std::function<void()>> tasks_;  // GUARDED_BY(tasks_mutex_)
  std::atomic<bool> has_tasks_{false};
};

}  // namespace pelikan::core
