// What `stats` and `shutdown` on the data port know of the process: see backend/memcache/host.h.
// Owner: main. Threads: those that execute requests, once the process runs.
#pragma once

#include <atomic>
#include <mutex>

#include "backend/memcache/host.h"
#include "server/launch.h"

namespace pelikan::server::segcache {

class ProcessHost final : public backend::memcache::Host {
 public:
  ProcessHost(const Surroundings& surroundings, bool shutdown_enabled);

  [[nodiscard]] const backend::memcache::HostSettings& settings() const override;
  [[nodiscard]] backend::memcache::HostCounts counts() const override;
  void connections(std::size_t limit,
                   const std::function<void(const backend::memcache::HostConnection&)>& f) const override;
  void set_verbosity(unsigned level) override { verbosity_.store(level, std::memory_order_relaxed); }
  [[nodiscard]] unsigned verbosity() const override { return verbosity_.load(std::memory_order_relaxed); }
  void shutdown(bool graceful) override;

 private:
  const Surroundings& surroundings_;
  // Completed when first asked for: the engine is known only when the process exists.
  mutable backend::memcache::HostSettings settings_;
  mutable std::once_flag completed_;
  std::uint32_t start_sec_;
  std::atomic<unsigned> verbosity_{0};
};

}  // namespace pelikan::server::segcache
