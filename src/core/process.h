// A server process: listening sockets, the listener's and the worker's threads, signals, and an orderly end.
//
//   Process process(options, service, clock);   binds, probes the engine: throws one clear line when something is wrong
//   process.start();                            threads run, READY is told to the service manager
//   process.wait();                             until TERM or INT; a second one ends the process at once; HUP calls
//                                               on_hangup
//
// Owner: the server's main, on whose thread everything here is called unless stated otherwise.
// REQUIRES: constructed before any other thread is started (signals are blocked for all threads from then on).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/listener.h"
#include "core/options.h"
#include "core/worker.h"
#include "net/fd.h"

namespace pelikan::core {

class Process {
 public:
  Process(const CoreOptions& options, Service& service, const Clock& clock);
  ~Process();

  void start();
  // Returns when everything has ended. `on_drain` is called once, when the drain begins; `on_hangup` for each HUP.
  void wait(const std::function<void()>& on_drain, const std::function<void()>& on_hangup);
  // As TERM does. Any thread.
  static void request_shutdown() noexcept;

  [[nodiscard]] Worker& worker() noexcept { return *worker_; }
  [[nodiscard]] const net::EngineChoice& engine() const noexcept { return engine_; }
  [[nodiscard]] std::size_t max_connections() const noexcept { return max_connections_; }
  // The port that was bound.
  [[nodiscard]] std::uint16_t tcp_port() const;
  // "127.0.0.1:12321", or several joined by ','.
  [[nodiscard]] std::string addresses() const;

 private:
  void drain(const std::function<void()>& on_drain);
  void remove_unix_socket() noexcept;

  net::EngineChoice engine_;
  std::size_t max_connections_;
  int drain_timeout_ms_;
  std::string unix_path_;
  net::Fd signals_;
  net::Fd worker_ended_;  // eventfd
  std::vector<net::Listening> sockets_;
  std::unique_ptr<Worker> worker_;
  std::unique_ptr<Listener> listener_;
  std::jthread worker_thread_;
  std::jthread listener_thread_;
};

}  // namespace pelikan::core
