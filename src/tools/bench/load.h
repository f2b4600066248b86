// One thread's share of a run with what every kind of load needs for it, and the run.
//
// Owner:   run(). Threads: construction on the caller's, then one thread of its own; nothing is shared between loads
//          but the options. Each has its own event loop, connections, randomness and tally.
// Failure: whatever the target does becomes a Trouble in the tally; nothing of a measurement throws.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "net/fd.h"
#include "net/loop.h"
#include "net/tls/context.h"
#include "tools/bench/channel.h"
#include "tools/bench/options.h"
#include "tools/bench/progress.h"
#include "tools/bench/tally.h"

namespace pelikan::tools::bench {

class Load {
 public:
  using Instant = std::chrono::steady_clock::time_point;

  // Throws what make_load() throws.
  Load(const Options& options, std::uint32_t thread);
  virtual ~Load() = default;
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  // In this order, once. All that comes before the measurement: connections, handshakes, filling.
  virtual void prepare() = 0;
  // `begin`: the same for all threads, now or soon.
  virtual void measure(Instant begin) = 0;
  virtual void finish() = 0;  // closes
  [[nodiscard]] const Tally& tally() const noexcept { return tally_; }
  // Any thread may ask it while the measurement goes on.
  [[nodiscard]] Snapshot& snapshot() noexcept { return snapshot_; }

 protected:
  static constexpr int kTurnMs = 50;                         // how late the end of the run may be seen
  static constexpr std::chrono::seconds kLastAnswersMax{2};  // after the measured time

  // Blocks. Throws std::runtime_error when the target is not there.
  [[nodiscard]] net::Fd connect_target() const;
  void turn(int timeout_ms);

  const Options options_;
  const std::uint32_t connection_count_;          // this thread's
  const std::string server_name_;                 // in the target's certificate
  std::unique_ptr<net::tls::ClientContext> tls_;  // null: plain
  BufferPool pool_;
  std::unique_ptr<net::Loop> loop_;
  std::vector<char> scratch_;
  Channel::Shared shared_;
  Tally tally_;
  Snapshot snapshot_;
};

// Throws std::runtime_error when a loop cannot be made, UsageError when a certificate or key cannot be used.
[[nodiscard]] std::unique_ptr<Load> make_load(const Options& options, std::uint32_t thread);

// The whole run: threads that prepare, wait for each other, measure at the same time, and close.
[[nodiscard]] Tally run(const Options& options);

// The part of `total` that belongs to one thread: from first_of() to first_of() of the next.
[[nodiscard]] constexpr std::uint32_t first_of(std::uint32_t total, std::uint32_t thread, std::uint32_t threads) {
  return static_cast<std::uint32_t>(std::uint64_t{total} * thread / threads);
}

// "TLSv1.3 TLS_AES_256_GCM_SHA384"
[[nodiscard]] std::string cipher_of(const net::tls::Session& session);

}  // namespace pelikan::tools::bench
