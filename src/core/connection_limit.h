// How many connections there may be: server.max_connections, over all threads. One counter, touched twice per
// connection.
// Owner: Process. Threads: any.
#pragma once

#include <atomic>
#include <cstddef>

namespace pelikan::core {

class ConnectionLimit {
 public:
  explicit ConnectionLimit(std::size_t max) noexcept : max_(max) {}

  // False: there are as many as there may be.
  [[nodiscard]] bool acquire() noexcept {
    if (count_.fetch_add(1, std::memory_order_relaxed) < max_) return true;
    release();
    return false;
  }
  void release() noexcept { count_.fetch_sub(1, std::memory_order_relaxed); }
  [[nodiscard]] std::size_t max() const noexcept { return max_; }

 private:
  const std::size_t max_;
  std::atomic<std::size_t> count_{0};
};

}  // namespace pelikan::core
