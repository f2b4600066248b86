// Decides when sessions move from the busiest worker to the idlest: see docs/threads.md.
// Owner:  Process. Threads: the main thread, every kIntervalMs.
// Limits: moves_per_sec.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace pelikan::core {

class Balancer {
 public:
  static constexpr int kIntervalMs = 500;
  static constexpr double kBusyMin = 0.05;        // of a core: below it nobody needs relief
  static constexpr double kDifferenceMin = 0.15;  // of the busiest's load: closer than that is balanced

  // What to do now.
  struct Advice {
    std::size_t from = 0;
    std::size_t to = 0;
    double share = 0;              // of the work of `from`
    std::size_t sessions_max = 0;  // 0: only look at what the sessions of `from` do, until the next tick
  };

  explicit Balancer(std::uint64_t moves_per_sec) noexcept : moves_per_sec_(moves_per_sec) {}

  // `cpu_ns[i]` is the processor time that worker i has used since the last tick, `elapsed_ns` ago.
  [[nodiscard]] std::optional<Advice> tick(std::span<const std::uint64_t> cpu_ns, std::uint64_t elapsed_ns);

 private:
  const std::uint64_t moves_per_sec_;
  std::uint64_t credit_ = 0;            // moves that are due, in billionths
  std::optional<std::size_t> watched_;  // the worker that was the busiest at the last tick, whose sessions are measured
};

}  // namespace pelikan::core
