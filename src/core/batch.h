// The whole requests that a session has received, on their way to the storage thread and back.
//
//   session ── collect() into requests, which view input ──▶ storage thread ── execute() into output ──▶ session
//
// Owner:   who holds the unique_ptr: a session at home, a ring on the way, the storage thread. Threads: the owner's.
//          The buffers belong to the pool of the thread that has the batch: see leave() and arrive().
// Limits:  one per session; ServeLimits for what it holds.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/buffer.h"
#include "core/session_id.h"
#include "protocol/serve.h"

namespace pelikan::core {

class Batch {
 public:
  explicit Batch(BufferPool& pool) : requests(pool), input(pool), output(pool) {}

  // Nothing is left to execute.
  [[nodiscard]] bool done() const noexcept { return requests.empty(); }
  // Forgets requests and input, whether executed or not; keeps the output.
  void clear() noexcept {
    requests.reset();
    input.reset();
  }
  [[nodiscard]] std::size_t held_bytes() const noexcept {
    return requests.capacity() + input.capacity() + output.capacity();
  }
  void leave() noexcept {
    for (Buffer* buffer : {&requests, &input, &output}) buffer->leave_pool();
  }
  void arrive(BufferPool& pool) noexcept {
    for (Buffer* buffer : {&requests, &input, &output}) buffer->join(pool);
  }

  SessionId session;
  std::uint64_t left_at_ns = 0;  // the worker's turn that sent it
  Buffer requests;               // objects of the protocol's Request type
  Buffer input;                  // what they view
  Buffer output;                 // the session's write buffer
  std::size_t executed = 0;      // requests, on this trip
  ServeStatus outcome =
      ServeStatus::kNeedMore;  // kNeedMore: all executed; kLimit: not all; kClose: one asked for the end
};

}  // namespace pelikan::core
