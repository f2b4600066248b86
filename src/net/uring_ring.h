// An io_uring with a ring of receive buffers: set-up, submission and completion, without any notion of streams.
//
// Owner:   UringLoop, or the probe. Threads: constructed anywhere; enable() binds it to the calling thread, and from
//          then on only that thread may submit and wait (SINGLE_ISSUER, DEFER_TASKRUN). Destroyed anywhere.
// Limits:  `entries` submissions until sqe() must call the kernel; 4 x entries completions, then the kernel keeps the
//          rest itself.
// Failure: the constructor and enable() throw std::runtime_error "io_uring_queue_init: Operation not permitted".
#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace pelikan::net {

class Ring {
 public:
  static constexpr int kBufferGroup = 0;

  // `pollable`: for ready().
  Ring(std::uint32_t entries, std::uint32_t buffers, std::uint32_t buffer_bytes, bool pollable = false);
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  void enable();

  // A cleared submission; submits what is there when the queue is full. Null when the kernel takes none: try after
  // wait().
  [[nodiscard]] io_uring_sqe* sqe() noexcept;
  // Submits all and waits for one completion, or until the time is over (-1: no limit, 0: only look).
  void wait(int timeout_ms) noexcept;
  // Something is there for wait(0) to fetch, or has been fetched. Reads memory only. REQUIRES: pollable.
  [[nodiscard]] bool ready() const noexcept {
    return completions() > 0 ||
           (IO_URING_READ_ONCE(*ring_.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
  }
  [[nodiscard]] bool all_submitted() const noexcept { return io_uring_sq_ready(&ring_) == 0; }

  // Completions stay valid until advance() past them.
  [[nodiscard]] unsigned peek(std::span<io_uring_cqe*> completions) noexcept {
    // liburing would enter the kernel when there are none, if work for wait() waits there.
    if (this->completions() == 0 && !overflowed()) return 0;
    return io_uring_peek_batch_cqe(&ring_, completions.data(), static_cast<unsigned>(completions.size()));
  }
  // Calls f(completion) for all that are there, and leaves them.
  template <class F>
  void look(F&& f) const {
    const unsigned end = io_uring_smp_load_acquire(ring_.cq.ktail);
    for (unsigned i = *ring_.cq.khead; i != end; ++i) f(ring_.cq.cqes[i & ring_.cq.ring_mask]);
  }
  // The kernel keeps completions for which there was no room.
  [[nodiscard]] bool overflowed() const noexcept {
    return (IO_URING_READ_ONCE(*ring_.sq.kflags) & IORING_SQ_CQ_OVERFLOW) != 0;
  }
  void advance(unsigned count) noexcept { io_uring_cq_advance(&ring_, count); }
  [[nodiscard]] unsigned completions() const noexcept { return io_uring_cq_ready(&ring_); }
  [[nodiscard]] unsigned completions_max() const noexcept { return ring_.cq.ring_entries; }

  // The buffer that a completion with IORING_CQE_F_BUFFER names; ours until recycle(). publish() returns all recycled
  // ones.
  [[nodiscard]] std::string_view buffer(const io_uring_cqe& completion) const noexcept;
  void recycle(const io_uring_cqe& completion) noexcept { provide(buffer_id(completion)); }
  void publish() noexcept {
    io_uring_buf_ring_advance(buffer_ring_, static_cast<int>(recycled_));
    recycled_ = 0;
  }

 private:
  static unsigned buffer_id(const io_uring_cqe& completion) noexcept {
    return completion.flags >> IORING_CQE_BUFFER_SHIFT;
  }
  void map_buffers();
  void unmap_buffers() noexcept;
  void provide(unsigned id) noexcept;

  io_uring ring_{};
  std::uint32_t buffers_;
  std::uint32_t buffer_bytes_;
  io_uring_buf_ring* buffer_ring_ = nullptr;
  char* buffer_memory_ = nullptr;
  unsigned recycled_ = 0;
};

}  // namespace pelikan::net
