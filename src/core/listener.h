// A listener: its own thread and loop; accepts, refuses what is over the limit, does the TLS handshake, and hands
// established sessions to the workers.
//
// Owner:   Process; there may be several on the same sockets. Threads: run() on its own; stop() on any; what handshakes
//          call, on the listener's.
// Bounds:  listener.max_handshakes under way (above that accepting pauses and clients wait in the backlog), each with a
//          deadline; kStepsPerTurn of their cryptography per turn, so that a storm of them does not keep others from
//          being accepted. The thread runs at a lower priority than the workers: a storm is not to cost sessions their
//          latency.
// Trouble: when the process is out of descriptors or memory, accepting pauses for kAcceptPauseMs.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "core/connection_limit.h"
#include "core/handshake.h"
#include "core/tls_metrics.h"
#include "core/worker.h"
#include "metrics/metrics.h"
#include "net/loop.h"
#include "net/socket.h"
#include "net/tls/credentials.h"

namespace pelikan::core {

struct ListenerMetrics : metrics::Group {
  metrics::Counter event_loop{this, "listener_event_loop", "turns of the listener's event loop"};
  metrics::Counter event_error{this, "listener_event_error", "accepts that failed for want of descriptors or memory"};
  metrics::Counter pause_time{this, "listener_pause_time", "microseconds for which accepting was paused"};
  metrics::Gauge accepting{this, "listener_accepting", "listeners that accept connections, and do not pause"};
  metrics::Counter tcp_accept{this, "tcp_accept", "connections accepted"};
  metrics::Counter tcp_reject{this, "tcp_reject", "connections refused: server.max_connections reached"};
  metrics::Counter handshake{this, "stream_handshake", "TLS handshakes completed"};
  metrics::Counter handshake_ex{this, "stream_handshake_ex", "TLS handshakes that failed, in whatever way"};
  metrics::Counter handshake_resumed{this, "tls_handshake_resumed", "TLS handshakes shortened by a session ticket"};
  metrics::Counter handshake_timeout{this, "tls_handshake_timeout", "TLS handshakes not done within handshake_timeout"};
  metrics::Counter handshake_abandoned{this, "tls_handshake_abandoned",
                                       "connections closed before or in the handshake"};
  metrics::Gauge handshake_curr{this, "tls_handshake_curr", "TLS handshakes under way"};
};

struct ListenerSettings {
  net::LoopOptions loop;
  std::size_t index = 0;  // among the listeners
  std::string refusal;    // what a plain connection over the limit is told
  bool least_loaded = false;
  const net::tls::Credentials* credentials = nullptr;  // null: plain text
  std::uint64_t handshake_timeout_ms = 5000;
  std::size_t handshakes_max = 1024;
  std::size_t buffer_bytes_max = 64u << 20;
};

class Listener {
 public:
  static constexpr int kAcceptPauseMs = 50;
  static constexpr int kLastTurns = 16;  // of accepting what is in the backlog when the server stops, and as long as
  static constexpr int kLastTurnsBacklog = 4096;  // each turn accepts something
  static constexpr int kLastTurnsTls = 2000;      // of finishing handshakes whose bytes have come; a millisecond each
  static constexpr std::size_t kStepsPerTurn = 4;
  static constexpr int kSweepMs = 100;  // how exactly deadlines are kept
  static constexpr int kNice = 10;

  // `sockets` stay the caller's. REQUIRES: they and all else outlive the listener's thread.
  Listener(const ListenerSettings& settings, const std::vector<net::Listening>& sockets, ConnectionLimit& limit,
           std::vector<Worker*> workers, const Clock& clock);
  ~Listener();

  // All that counts against the same limit. Before any thread runs.
  void share_memory(StorageThread::BufferMemory all) { memory_ = std::move(all); }

  void run();
  void stop();

  // For handshakes.
  [[nodiscard]] net::Loop& loop() noexcept { return *loop_; }
  [[nodiscard]] BufferPool& buffers() noexcept { return buffers_; }
  [[nodiscard]] std::span<char> scratch() noexcept { return scratch_; }
  [[nodiscard]] std::uint64_t farewell_deadline_ns() const noexcept;
  void queue_step(Handshake& handshake);
  void handshake_failed(const net::tls::Failure& failure, const std::string& peer);
  void handshake_abandoned(bool heard, const std::string& peer);
  void handshake_timed_out(bool heard, const std::string& peer);
  void handshake_done(Handshake& handshake, std::unique_ptr<Established> established);
  void handshake_closed(Handshake& handshake);

 private:
  // One listening socket. Unix sockets speak plain text: the file's permissions guard them.
  struct Door final : net::Acceptor {
    Door(Listener& l, bool t) : listener(l), tls(t) {}
    void on_accept(net::Fd fd) override { listener.accept(std::move(fd), tls); }
    void on_accept_error(int error) override { listener.accept_failed(error); }
    Listener& listener;
    const bool tls;
  };

  void turn(int timeout_ms);
  void last_turns();
  void accept(net::Fd fd, bool tls);
  void accept_failed(int error);
  void begin_handshake(net::Fd fd);
  void refuse(const net::Fd& fd, bool tls);
  void hand_over(std::unique_ptr<Established> established);
  [[nodiscard]] Worker& choose() noexcept;
  void run_steps();
  void sweep_deadlines();
  void bury(Handshake& handshake);
  void update_accepting();
  [[nodiscard]] int wait_ms() const noexcept;

  const ListenerSettings settings_;
  ListenerMetrics metrics_;
  TlsFailureMetrics failures_;
  BufferPool buffers_;
  StorageThread::BufferMemory memory_;
  std::unique_ptr<net::Loop> loop_;
  const std::vector<net::Listening>& sockets_;
  std::vector<std::unique_ptr<Door>> doors_;
  ConnectionLimit& limit_;
  std::vector<Worker*> workers_;
  std::size_t next_worker_;
  const Clock& clock_;
  std::vector<char> scratch_;

  std::vector<std::unique_ptr<Handshake>> handshakes_;
  std::vector<std::unique_ptr<Handshake>> graveyard_;
  std::vector<Handshake*> steps_;  // in the order their bytes came
  std::uint64_t now_ns_ = 0;
  std::uint64_t swept_at_ns_ = 0;
  std::uint64_t paused_at_ns_ = 0;  // for want of descriptors; 0: not
  bool accepting_ = true;
  bool finished_ = false;  // stopping: who comes now is turned away
  std::atomic<bool> stop_wanted_{false};
};

}  // namespace pelikan::core
