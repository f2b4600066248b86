// The settings that every server has.
#pragma once

#include <cstdint>
#include <string>

#include "config/config.h"

namespace pelikan::core {

struct ServerOptions : config::Section {
  ServerOptions() : Section("server") {}
  config::Option<std::string> host{this, "host", "127.0.0.1", "address to listen on"};
  config::Option<std::uint64_t> port{this, "port", 12321, "TCP port; 0 picks a free one", config::Range{0, 65535}};
  config::Option<std::string> unix_socket{this, "unix_socket", "", "path of a unix socket to listen on as well"};
  config::Option<std::uint64_t> max_connections{
      this, "max_connections", 16384, "open connections; more are refused with an error", config::Range{1, 1'000'000}};
  config::Option<config::Duration> idle_timeout{this, "idle_timeout", config::Duration{0},
                                                "close a connection that sent nothing for so long; 0 = never",
                                                config::Range{0, 86'400'000}};
  config::Option<config::Duration> drain_timeout{this, "drain_timeout", config::Duration{5000},
                                                 "longest time that a shutdown waits for replies to be taken",
                                                 config::Range{0, 3'600'000}};
  config::Option<config::Size> buffer_memory{this, "buffer_memory", config::Size{256u << 20},
                                             "memory for unread requests and unsent replies of all connections",
                                             config::Range{config::kMiB, 64 * config::kTiB}};
};

struct ListenerOptions : config::Section {
  ListenerOptions() : Section("listener") {}
  config::Option<std::uint64_t> threads{this, "threads", 1, "threads that accept and do TLS handshakes",
                                        config::Range{1, 64}};
  config::Option<std::uint64_t> backlog{this, "backlog", 1024, "connections that may wait to be accepted",
                                        config::Range{1, 65535}};
  config::Option<config::Duration> handshake_timeout{this, "handshake_timeout", config::Duration{5000},
                                                     "longest time that a TLS handshake may take",
                                                     config::Range{1, 3'600'000}};
  config::Option<std::uint64_t> max_handshakes{this, "max_handshakes", 1024,
                                               "TLS handshakes under way per thread; more clients wait in the backlog",
                                               config::Range{1, 65536}};
};

// The processors that this process may use.
[[nodiscard]] std::uint64_t processors() noexcept;

struct WorkerOptions : config::Section {
  WorkerOptions() : Section("worker") {}
  config::Option<std::uint64_t> threads{
      this, "threads", processors(), "number of worker threads; unless set, one per processor", config::Range{1, 1024}};
  config::Option<std::uint64_t> timeout{this, "timeout", 100, "longest wait for events, in ms", config::Range{1, 1000}};
  config::Option<std::string> balance{this, "balance", "round_robin", "which worker gets a new session",
                                      config::OneOf{"round_robin", "least_loaded"}};
  config::Option<std::uint64_t> rebalance_moves{
      this, "rebalance_moves", 100,
      "sessions that may move from the busiest worker to the idlest per second; 0 = none do",
      config::Range{0, 100'000}};
};

struct StorageOptions : config::Section {
  StorageOptions() : Section("storage") {}
  config::Option<std::string> execution{
      this, "execution", "auto", "who executes requests: the workers, which share the storage, or a thread of its own",
      config::OneOf{"auto", "shared", "thread"}};
};

struct NetOptions : config::Section {
  NetOptions() : Section("net") {}
  config::Option<std::string> engine{this, "engine", "auto", "how sockets are driven",
                                     config::OneOf{"auto", "epoll", "io_uring"}};
  config::Option<config::ShortDuration> busy_poll{
      this, "busy_poll", config::ShortDuration{0},
      "how long a worker that has nothing to do looks for work before it sleeps; 0 = it sleeps at once",
      config::Range{0, 1'000'000}};
};

// All of them, as one member of a server's settings.
struct CoreOptions {
  ServerOptions server;
  ListenerOptions listener;
  WorkerOptions worker;
  StorageOptions storage;
  NetOptions net;
};

// Raises the limit of open files as far as allowed and returns how many connections fit under it, at most `wanted`.
[[nodiscard]] std::size_t fit_open_files(std::size_t wanted, std::size_t loops);

}  // namespace pelikan::core
