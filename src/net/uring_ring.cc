#include "net/uring_ring.h"

#include <sys/mman.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

#include "base/check.h"

namespace pelikan::net {
namespace {

static_assert(offsetof(io_uring_buf_ring, bufs) == 0, "the kernel's layout, as C++ sees it");

constexpr std::uint32_t kFeatures = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP | IORING_FEAT_FAST_POLL;

[[noreturn]] void fail(const char* step, int error) {
  throw std::runtime_error(std::string(step) + ": " + std::strerror(error));
}

void* map(std::size_t bytes) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fail("mmap of receive buffers", errno);
  return memory;
}

}  // namespace

Ring::Ring(std::uint32_t entries, std::uint32_t buffers, std::uint32_t buffer_bytes, bool pollable)
    : buffers_(buffers), buffer_bytes_(buffer_bytes) {
  CHECK(std::has_single_bit(buffers) && buffers <= 32768 && buffer_bytes > 0);
  io_uring_params params{};
  // Disabled until enable(), so that the ring may be made by one thread and bound to another.
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED |
                 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE;
  if (pollable) params.flags |= IORING_SETUP_TASKRUN_FLAG;
  params.cq_entries = 4 * entries;
  if (const int error = io_uring_queue_init_params(entries, &ring_, &params); error != 0) {
    fail("io_uring_queue_init", -error);
  }
  try {
    if ((params.features & kFeatures) != kFeatures) fail("io_uring features", EOPNOTSUPP);
    map_buffers();
  } catch (...) {
    unmap_buffers();
    io_uring_queue_exit(&ring_);
    throw;
  }
}

Ring::~Ring() {
  io_uring_queue_exit(&ring_);
  unmap_buffers();
}

void Ring::map_buffers() {
  buffer_ring_ = static_cast<io_uring_buf_ring*>(map(buffers_ * sizeof(io_uring_buf)));
  buffer_memory_ = static_cast<char*>(map(std::size_t{buffers_} * buffer_bytes_));
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(buffer_ring_);
  registration.ring_entries = buffers_;
  registration.bgid = kBufferGroup;
  if (const int error = io_uring_register_buf_ring(&ring_, &registration, 0); error != 0) {
    fail("io_uring_register_buf_ring", -error);
  }
  for (unsigned id = 0; id < buffers_; ++id) provide(id);
  publish();
}

void Ring::unmap_buffers() noexcept {
  if (buffer_ring_ != nullptr) ::munmap(buffer_ring_, buffers_ * sizeof(io_uring_buf));
  if (buffer_memory_ != nullptr) ::munmap(buffer_memory_, std::size_t{buffers_} * buffer_bytes_);
}

void Ring::provide(unsigned id) noexcept {
  io_uring_buf_ring_add(buffer_ring_, buffer_memory_ + std::size_t{id} * buffer_bytes_, buffer_bytes_,
                        static_cast<unsigned short>(id), static_cast<int>(buffers_ - 1), static_cast<int>(recycled_));
  ++recycled_;
}

std::string_view Ring::buffer(const io_uring_cqe& completion) const noexcept {
  return {buffer_memory_ + std::size_t{buffer_id(completion)} * buffer_bytes_,
          static_cast<std::size_t>(completion.res)};
}

void Ring::enable() {
  // io_uring_enable_rings() is declared by liburing 2.3 but missing from its library.
  if (const int error =
          io_uring_register(static_cast<unsigned>(ring_.ring_fd), IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
      error < 0) {
    fail("io_uring_register(ENABLE_RINGS)", -error);
  }
  // Saves a look-up of the descriptor in every system call; nothing depends on it.
  static_cast<void>(io_uring_register_ring_fd(&ring_));
}

io_uring_sqe* Ring::sqe() noexcept {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  if (sqe == nullptr) {
    io_uring_submit(&ring_);
    sqe = io_uring_get_sqe(&ring_);
  }
  return sqe;
}

void Ring::wait(int timeout_ms) noexcept {
  if (timeout_ms == 0) {
    io_uring_submit_and_get_events(&ring_);
    return;
  }
  __kernel_timespec limit{.tv_sec = timeout_ms / 1000, .tv_nsec = (timeout_ms % 1000) * 1'000'000LL};
  io_uring_cqe* unused = nullptr;
  io_uring_submit_and_wait_timeout(&ring_, &unused, 1, timeout_ms < 0 ? nullptr : &limit, nullptr);
}

}  // namespace pelikan::net
