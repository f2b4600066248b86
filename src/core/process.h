// A server process: listening sockets, the threads of docs/threads.md, signals, and an orderly end.
//
//   Process process(options, services, clock);  binds, probes the engine: throws one clear line when something is wrong
//   process.start();                            threads run, READY is told to the service manager
//   process.wait(events);                       until TERM or INT; a second one ends the process at once
//
// Owner: the server's main, on whose thread everything here is called unless stated otherwise.
// REQUIRES: constructed before any other thread is started (signals are blocked for all threads from then on).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/balancer.h"
#include "core/connection_limit.h"
#include "core/listener.h"
#include "core/options.h"
#include "core/storage_thread.h"
#include "core/worker.h"
#include "net/fd.h"
#include "net/tls/credentials.h"

namespace pelikan::core {

// Who executes requests.
enum class Execution : std::uint8_t { kOwned, kShared, kThread };

// Throws config::Error when the storage does not allow what storage.execution asks for.
[[nodiscard]] Execution choose_execution(const CoreOptions& options, bool storage_is_thread_safe);
[[nodiscard]] std::string_view name_of(Execution execution) noexcept;

class Process {
 public:
  // What wait() calls, on the main thread.
  struct Events {
    std::function<void()> on_drain;          // once, when the drain begins
    std::function<void()> on_hangup;         // for each HUP
    int watched_fd = -1;                     // and when this one is readable ...
    std::function<void()> on_readable = {};  // ... this, which must read it
  };

  // `credentials`: for TLS on the TCP port; null: plain text. They outlive this.
  Process(const CoreOptions& options, const Services& services, const Clock& clock,
          const net::tls::Credentials* credentials = nullptr);
  ~Process();

  void start();
  // Returns when everything has ended.
  void wait(const Events& events);
  // As TERM does. Any thread.
  static void request_shutdown() noexcept;

  // Runs `task` where requests are executed (with a shared storage: on the first worker). Any thread.
  void post_to_storage(TaskQueue::Task task);
  // Closes the sessions that the credentials would no longer let in. Any thread.
  void recheck_sessions();
  // Any thread.
  void visit_connections(const std::function<void(const ConnectionView&)>& visit) const;

  [[nodiscard]] Worker& worker(std::size_t index = 0) noexcept { return *workers_[index]; }
  [[nodiscard]] std::size_t workers() const noexcept { return workers_.size(); }
  [[nodiscard]] Execution execution() const noexcept { return execution_; }
  [[nodiscard]] const net::EngineChoice& engine() const noexcept { return engine_; }
  [[nodiscard]] std::size_t max_connections() const noexcept { return limit_.max(); }
  // The port that was bound.
  [[nodiscard]] std::uint16_t tcp_port() const;
  // "127.0.0.1:12321", or several joined by ','.
  [[nodiscard]] std::string addresses() const;

 private:
  void make_workers(const CoreOptions& options, const Clock& clock);
  void make_listeners(const CoreOptions& options, const Clock& clock);
  void share_memory();
  void drain(const std::function<void()>& on_drain);
  [[nodiscard]] bool wait_for_workers();
  void balance();
  void remove_unix_socket() noexcept;

  const net::tls::Credentials* credentials_;
  net::EngineChoice engine_;
  ConnectionLimit limit_;
  Execution execution_;
  int drain_timeout_ms_;
  std::string unix_path_;
  net::Fd signals_;
  net::Fd worker_ended_;  // eventfd, counts
  std::vector<net::Listening> sockets_;
  std::vector<std::unique_ptr<Service>> services_;  // one, or with a shared storage one per worker
  std::unique_ptr<StorageThread> storage_;          // null: workers execute
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  Balancer balancer_;
  std::vector<std::int64_t> busy_ns_;  // processor time of the workers until the last tick, without busy polling
  std::uint64_t balanced_at_ns_ = 0;

  // In the order in which they end, last to first.
  std::jthread storage_thread_;
  std::vector<std::jthread> worker_threads_;
  std::vector<std::jthread> listener_threads_;
};

}  // namespace pelikan::core
