// The ceiling that servers are compared with: for every `request_bytes` received it sends `reply_bytes`, and looks at
// nothing. One thread, on the bare ring: multishot accept and receive into provided buffers; what has come in a turn is
// answered with one send per connection, and the sends travel with the wait: one system call per turn.
//
//   kLean     a send that does not wait in the kernel and completes only when it could not send all. So all is well
//             when the turn's completions are seen and it has none.
//   kPatient  a send that waits. While it is under way the connection is not read from: what is owed to a slow reader
//             does not grow, and is a number anyway.
//
// Owner:   main. Threads: run() on one; it is ended through the descriptor that the constructor got.
// Limits:  kConnectionsMax connections, further ones are closed; one block of reply bytes for all.
// Failure: the constructor throws std::runtime_error (address taken, no io_uring). A connection that fails is closed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "net/fd.h"
#include "net/socket.h"
#include "net/uring_ring.h"
#include "tools/bench/options.h"

namespace pelikan::tools::bench {

class EchoServer {
 public:
  static constexpr std::uint32_t kConnectionsMax = 100'000;

  // run() returns when there is something to read at `stop_fd`.
  EchoServer(const std::string& host, std::uint16_t port, const EchoShape& shape, int stop_fd);

  // "127.0.0.1:12321"
  [[nodiscard]] const std::string& name() const noexcept { return listening_.name; }
  void run();

 private:
  enum class Kind : std::uint8_t { kAccept, kReceive, kLean, kPatient, kCancel, kStop };

  struct Connection {
    net::Fd fd;
    std::uint32_t seen_bytes = 0;  // of a request that is not whole
    std::uint64_t owed_bytes = 0;
    std::uint32_t sent_bytes = 0;  // of the reply that is sent in part
    std::uint32_t lean_bytes = 0;  // of the last send that was lean
    bool touched = false;          // in touched_
    bool receiving = false;        // a receive is under way
    bool cancelling = false;       // ... and is being cancelled
    bool patient = false;          // a patient send is under way, or must be next
    bool sending = false;          // a patient send is under way
    bool ended = false;            // nothing more will be received
  };

  void handle(const io_uring_cqe& completion);
  void accepted(int result);
  void received(std::uint32_t slot, const io_uring_cqe& completion);
  void sent(std::uint32_t slot, Kind kind, int result);
  void touch(std::uint32_t slot);
  // What the connections of this turn want; those for which the kernel takes no submission now stay touched.
  void arrange_touched();
  [[nodiscard]] bool arrange(std::uint32_t slot);
  [[nodiscard]] bool arm(Kind kind, std::uint32_t slot);
  void prepare_send(io_uring_sqe& sqe, Kind kind, Connection& connection);
  void close(std::uint32_t slot);

  const EchoShape shape_;
  const std::string block_;  // replies one after the other, long enough to begin anywhere in the first
  net::Listening listening_;
  const int stop_fd_;
  net::Ring ring_;
  std::vector<Connection> connections_;  // by slot
  std::vector<std::uint32_t> free_slots_;
  std::vector<std::uint32_t> closed_slots_;  // in this turn: their last completions may still be seen
  std::vector<std::uint32_t> touched_;
  bool accepting_ = false;
  bool accept_failed_ = false;
  bool stopping_ = false;
};

}  // namespace pelikan::tools::bench
