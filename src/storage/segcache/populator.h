// Makes memory real before it is used, in huge pages, on a thread of its own: the kernel needs from a tenth of a
// millisecond to several for one, which no request should wait for.
//
// Owner:   Shared. Threads: look() on any.
// Failure: the constructor throws std::system_error when there is no thread to be had. What is not ready in time is
//          touched by whoever uses it first, as memory is without all this.
#pragma once

#include <atomic>
#include <semaphore>
#include <thread>

#include "storage/segcache/index.h"
#include "storage/segcache/segments.h"

namespace pelikan::storage::segcache {

class Populator {
 public:
  // REQUIRES: both outlive this.
  Populator(Segments& segments, Index& index);
  // Waits for the step that is under way.
  ~Populator();
  Populator(const Populator&) = delete;
  Populator& operator=(const Populator&) = delete;

  // Wakes the thread when too little is ready. Once per turn.
  void look() noexcept;

 private:
  void run() noexcept;

  Segments& segments_;
  Index& index_;
  std::atomic<bool> asked_{false};
  std::atomic<bool> ending_{false};
  std::binary_semaphore work_{0};
  std::thread thread_;
};

}  // namespace pelikan::storage::segcache
