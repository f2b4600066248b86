// A worker: one thread, one event loop, its sessions. Executes requests itself, or passes them to the storage thread.
//
// Owner:   Process. Threads: run() on its own; hand_over(i) on listener i's; adopt(), post(), start_drain(), stop(),
//          visit_connections() and the numbers on any; everything else only on the worker's, which is where sessions
//          and services call it from.
// Bounds:  sessions by server.max_connections; buffers by server.buffer_memory, which all threads share (above it the
//          session that holds most is closed).
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
#include "core/connection_limit.h"
#include "core/established.h"
#include "core/session.h"
#include "core/storage_thread.h"
#include "core/task_queue.h"
#include "core/tls_metrics.h"
#include "metrics/metrics.h"
#include "net/loop.h"
#include "net/tls/credentials.h"
#include "queue/spsc_ring.h"

namespace pelikan::core {

struct WorkerMetrics : metrics::Group {
  metrics::Counter event_loop{this, "worker_event_loop", "turns of the workers' event loops"};
  metrics::Counter event_read{this, "worker_event_read", "streams that had received data, summed over turns"};
  metrics::Counter poll_found{this, "worker_poll_found", "busy polls that ended because there was work"};
  metrics::Counter poll_missed{this, "worker_poll_missed", "busy polls that found nothing"};
  metrics::Counter poll_idle_ns{this, "worker_poll_idle_time", "time that passed in busy polls, in ns"};
  metrics::Counter process_req{this, "process_req", "requests executed"};
  metrics::Counter session_recv{this, "session_recv", "receives"};
  metrics::Counter session_recv_byte{this, "session_recv_byte", "bytes received"};
  metrics::Counter session_send{this, "session_send", "sends"};
  metrics::Counter session_send_byte{this, "session_send_byte", "bytes handed over for sending"};
  metrics::Counter session_invalid{this, "session_invalid", "sessions closed for bytes that make no sense"};
  metrics::Counter session_tls_on_plain_port{this, "session_tls_on_plain_port",
                                             "sessions closed because they began TLS on the plain port"};
  metrics::Counter session_yield{this, "session_yield",
                                 "times a session gave way to others, or to its own slow reading"};
  metrics::Counter session_idle_kick{this, "session_idle_kick", "sessions closed by idle_timeout"};
  metrics::Counter session_buffer_exhausted{this, "session_buffer_exhausted",
                                            "sessions closed to stay below buffer_memory"};
  metrics::Counter session_moved{this, "worker_session_moved", "sessions moved to a worker with less to do"};
  metrics::Counter session_no_longer_admitted{
      this, "session_no_longer_admitted", "sessions closed because their certificate is no longer good after a reload"};
  metrics::Counter batch{this, "worker_batch", "batches of requests sent to the storage thread"};
  metrics::Counter batch_stale{this, "worker_batch_stale", "batches that came back after their session had gone"};
  metrics::Counter tcp_close{this, "tcp_close", "connections closed"};
  metrics::Gauge tcp_conn_curr{this, "tcp_conn_curr", "open connections"};
  metrics::Gauge session_buffer_byte{this, "session_buffer_byte", "bytes in receive and send buffers"};
  metrics::Histogram request_latency{this, "request_latency",
                                     "ns from the turn that received a request to its reply's hand-over"};
};

struct WorkerSettings {
  net::LoopOptions loop;
  std::size_t listeners = 1;
  std::size_t workers = 1;                    // of the process
  std::size_t buffer_bytes_max = 256u << 20;  // of all threads together
  std::uint32_t idle_timeout_sec = 0;
  int wait_ms = 100;
  const net::tls::Credentials* credentials = nullptr;  // of the listeners; null: plain text
};

// What `stats conns` shows of one.
struct ConnectionView {
  int fd;
  std::uint32_t idle_sec;
  bool waiting;                  // has requests that may not be executed yet
  std::string_view tls_version;  // empty: plain text
  std::string_view tls_peer;     // the name in the client's certificate, if it sent one
};

class Worker {
 public:
  // `storage`: null when requests are executed here, by a service that no other thread executes with.
  Worker(const WorkerSettings& settings, Service& service, ConnectionLimit& limit, const Clock& clock,
         StorageThread* storage = nullptr);
  ~Worker();

  // All that counts against the same limit. Before any thread runs.
  void share_memory(StorageThread::BufferMemory all) { memory_ = std::move(all); }
  // Null without a storage thread.
  [[nodiscard]] const StorageThread::Lane* lane() const noexcept { return lane_; }

  // The thread's body; returns after stop(), or when a drain has ended.
  void run();

  // A new session. REQUIRES: the limit was acquired for it; it is released when the session has gone.
  void hand_over(std::size_t listener, std::unique_ptr<Established> established);
  // A session that another worker gives away. False: this worker is about to end, the caller keeps it.
  [[nodiscard]] bool adopt(std::unique_ptr<Established>& established);
  // Runs `task` on the worker's thread, before the next turn's requests.
  void post(TaskQueue::Task task);
  // Answers what has been received by now, then closes every session. The listeners must have stopped.
  void start_drain();
  void stop();
  [[nodiscard]] std::size_t connections() const noexcept { return connections_; }
  // Those, and what is still on its way here.
  [[nodiscard]] std::size_t connections_reserved() const noexcept { return reserved_.load(std::memory_order_relaxed); }
  // Processor time used of late, 1000 = a whole core: set by the balancer, read by listeners.
  [[nodiscard]] unsigned load_permille() const noexcept { return load_permille_; }
  void set_load_permille(unsigned load) noexcept { load_permille_ = load; }
  // Time that passed in busy polling.
  [[nodiscard]] std::uint64_t polled_ns() const noexcept { return metrics_.poll_idle_ns.value(); }
  // `visit` must be quick and may not call the worker.
  void visit_connections(const std::function<void(const ConnectionView&)>& visit) const;

  // Below: the worker's thread only.

  // Forgets what sessions did so far; the next give_away() goes by what they do from now on.
  void measure_sessions();
  // Moves the sessions that together do `share` of the work here, at most `sessions_max`, to `to`.
  void give_away(Worker& to, double share, std::size_t sessions_max);
  // Closes every session that the certificates now in force would not let in, a few per turn.
  void recheck_sessions();

  [[nodiscard]] net::Loop& loop() noexcept { return *loop_; }
  [[nodiscard]] BufferPool& buffers() noexcept { return buffers_; }
  [[nodiscard]] const BufferPool& buffers() const noexcept { return buffers_; }
  [[nodiscard]] WorkerMetrics& metrics() noexcept { return metrics_; }
  [[nodiscard]] TlsFailureMetrics& tls_failures() noexcept { return tls_failures_; }
  [[nodiscard]] Service& service() noexcept { return service_; }
  [[nodiscard]] const Time& now() const noexcept { return now_; }
  [[nodiscard]] std::uint32_t idle_timeout_sec() const noexcept { return settings_.idle_timeout_sec; }
  [[nodiscard]] bool has_storage_thread() const noexcept { return lane_ != nullptr; }
  [[nodiscard]] std::span<char> scratch() noexcept { return scratch_; }
  [[nodiscard]] std::mutex& table_mutex() noexcept { return table_mutex_; }
  void tls_on_plain_port(int fd);
  void no_longer_admitted(const net::tls::Failure& why, int fd);
  void count_requests(std::size_t count) noexcept { turn_requests_ += count; }
  // After each receive: one turn may receive for hundreds of sessions, whose buffers double.
  void keep_buffers_bounded() {
    if (buffers_.over_limit() && buffers_.bytes_in_use() > shed_above_bytes_) shed_buffers();
  }
  void make_ready(Session& session) { ready_.push_back(&session); }
  // At the end of the turn, with all others.
  void send_to_storage(std::unique_ptr<Batch> batch);
  void bury(Session& session);
  // The session has left the loop: to the worker it is for.
  void pass_on(Session& session, net::Fd fd);

 private:
  static constexpr std::size_t kSweepPerTurn = 128;
  static constexpr std::size_t kRechecksPerTurn = 4;  // a verification takes some 0.1 ms

  struct Slot {
    std::unique_ptr<Session> session;  // null: free, or only its batch is still away
    std::uint32_t generation = 0;
    bool batch_away = false;
  };

  [[nodiscard]] bool turn();
  void wait(int timeout_ms);
  void publish_polls();
  void adopt_established();
  void open(std::unique_ptr<Established> established);
  [[nodiscard]] std::uint32_t take_slot();
  void free_slot(std::uint32_t slot);
  std::unique_ptr<Session> take_out(Session& session);
  void collect_batches();
  void flush_batches();
  void run_ready();
  void sweep_deadlines();
  void sweep_admission();
  void shed_buffers();
  [[nodiscard]] std::size_t buffer_share() const noexcept { return settings_.buffer_bytes_max / settings_.workers; }
  void begin_drain();
  [[nodiscard]] bool empty() const noexcept {
    return reserved_.load(std::memory_order_seq_cst) == 0 && batches_away_ == 0;
  }

  const WorkerSettings settings_;
  Service& service_;
  ConnectionLimit& limit_;
  const Clock& clock_;
  WorkerMetrics metrics_;
  TlsFailureMetrics tls_failures_;
  BufferPool buffers_;  // outlives the sessions and the loop, whose buffers come from it
  StorageThread::BufferMemory memory_;
  std::unique_ptr<net::Loop> loop_;
  std::vector<char> scratch_;  // a TLS record's plain text

  // Changed by the worker's thread under the mutex; others read under it (visit_connections).
  mutable std::mutex table_mutex_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_slots_;
  std::vector<Session*> ready_;
  std::vector<Session*> ready_now_;
  std::vector<std::unique_ptr<Session>> graveyard_;

  StorageThread::Lane* lane_ = nullptr;
  std::vector<std::unique_ptr<Batch>> outgoing_;
  std::size_t batches_away_ = 0;

  Time now_;
  Published<std::uint32_t> now_sec_;  // now_, for visit_connections()
  std::size_t turn_requests_ = 0;
  std::size_t shed_above_bytes_ = 0;  // in this turn
  std::size_t sweep_slot_ = 0;
  std::uint32_t sweep_sec_ = 0;
  bool rechecking_ = false;
  std::size_t recheck_slot_ = 0;
  enum class Drain : std::uint8_t { kNo, kCollect, kFinish } drain_ = Drain::kNo;

  std::vector<std::unique_ptr<SpscRing<std::unique_ptr<Established>>>> established_;  // by listener
  TaskQueue tasks_;
  std::atomic<std::size_t> reserved_{0};
  Published<std::size_t> connections_;
  Published<unsigned> load_permille_;
  std::atomic<bool> drain_wanted_{false};
  std::atomic<bool> stop_wanted_{false};
};

}  // namespace pelikan::core
