// Handshakes, and nothing else: each slot connects, completes the TLS handshake (without TLS: the TCP connect), says
// that it has finished (close_notify; without TLS: FIN), waits until the target has closed too, and begins again.
//
// A handshake counts when the target has closed in order: with TLS 1.3 it judges a client certificate only after the
// client is done. Its latency is from the connect until the client is done.
// The first handshake of a thread is not measured. It is a full one: it shows whether the target can be spoken to at
// all, and brings the ticket that the others resume with --resume.
// Owner:   run(). Threads: one.
// Failure: a Trouble in the tally, and the slot begins again. When the first handshake fails nothing is measured.
#pragma once

#include <sys/socket.h>

#include <expected>
#include <memory>
#include <vector>

#include "net/fd.h"
#include "tools/bench/load.h"
#include "tools/bench/options.h"

namespace pelikan::tools::bench {

class Handshakes final : public Load {
 public:
  Handshakes(const Options& options, std::uint32_t thread);
  ~Handshakes() override;

  void prepare() override;
  void measure(Instant begin) override;
  void finish() override;

 private:
  class Slot;

  // To where the first connection went, without waiting; else an errno.
  [[nodiscard]] std::expected<net::Fd, int> connect() const;
  void begin_idle();
  // Waits until all slots are closed, or `limit` has gone by without news.
  void await_closed(std::chrono::seconds limit, const char* advice);

  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<Slot*> idle_;  // begin in the next turn
  sockaddr_storage address_{};
  socklen_t address_bytes_ = 0;
  std::size_t open_ = 0;    // slots not closed
  bool measuring_ = false;  // slots begin again
  Instant last_news_;
};

}  // namespace pelikan::tools::bench
