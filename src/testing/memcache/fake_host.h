// A process for the memcache backend to run in: says what the test told it to say, and remembers what it was asked.
#pragma once

#include <atomic>
#include <vector>

#include "backend/memcache/host.h"

namespace pelikan::testing {

class FakeHost final : public backend::memcache::Host {
 public:
  [[nodiscard]] const backend::memcache::HostSettings& settings() const override { return fake_settings; }
  [[nodiscard]] backend::memcache::HostCounts counts() const override { return fake_counts; }
  void connections(std::size_t limit,
                   const std::function<void(const backend::memcache::HostConnection&)>& f) const override {
    for (std::size_t i = 0; i < fake_connections.size() && i < limit; ++i) f(fake_connections[i]);
  }
  void set_verbosity(unsigned level) override { fake_verbosity = level; }
  [[nodiscard]] unsigned verbosity() const override { return fake_verbosity; }
  void shutdown(bool graceful) override { ++(graceful ? graceful_shutdowns : plain_shutdowns); }

  backend::memcache::HostSettings fake_settings;
  backend::memcache::HostCounts fake_counts;
  std::vector<backend::memcache::HostConnection> fake_connections;
  std::atomic<unsigned> fake_verbosity{0};  // any thread, as of a real host
  int plain_shutdowns = 0;
  int graceful_shutdowns = 0;
};

}  // namespace pelikan::testing
