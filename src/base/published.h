// A number that one thread writes and any thread may read: a plain load and store to the machine, no order with
// anything else.
// Owner: the writer. Threads: assignment on one, reading on any.
#pragma once

#include <atomic>

namespace pelikan {

template <class T>
class Published {
 public:
  Published(T value = {}) noexcept : value_(value) {}  // NOLINT(google-explicit-constructor): it is that number
  Published(const Published&) = delete;
  Published& operator=(const Published&) = delete;

  T operator=(T value) noexcept {  // NOLINT(misc-unconventional-assign-operator): as a number does
    value_.store(value, std::memory_order_relaxed);
    return value;
  }
  operator T() const noexcept { return value_.load(std::memory_order_relaxed); }  // NOLINT(google-explicit-constructor)
  T operator+=(T delta) noexcept { return *this = T(*this) + delta; }
  T operator-=(T delta) noexcept { return *this = T(*this) - delta; }

 private:
  std::atomic<T> value_;
};

}  // namespace pelikan
