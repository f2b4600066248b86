#include "tools/bench/echo_server.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "tools/bench/block_dialogue.h"

namespace pelikan::tools::bench {
namespace {

// As the servers have them.
constexpr std::uint32_t kRingEntries = 1024;
constexpr std::uint32_t kReceiveBuffers = 256;
constexpr std::uint32_t kReceiveBytes = 16 * 1024;

constexpr int kBacklog = 1024;
constexpr std::size_t kBlockBytesMax = 4 << 20;
constexpr int kRetryMs = 1;
constexpr unsigned kSlotShift = 8;

std::string make_block(const EchoShape& shape) {
  const std::string reply = echo_block(shape.reply_bytes);
  const std::size_t of_one_receive = std::size_t{kReceiveBytes / shape.request_bytes + 1} * reply.size();
  std::string block = reply;
  while (block.size() < std::min(of_one_receive, kBlockBytesMax) + reply.size()) block += reply;
  return block;
}

}  // namespace

EchoServer::EchoServer(const std::string& host, std::uint16_t port, const EchoShape& shape, int stop_fd)
    : shape_(shape),
      block_(make_block(shape)),
      listening_(net::listen_tcp(host, port, kBacklog)),
      stop_fd_(stop_fd),
      ring_(kRingEntries, kReceiveBuffers, kReceiveBytes) {}

void EchoServer::run() {
  ring_.enable();
  io_uring_sqe* stop = ring_.sqe();
  io_uring_prep_poll_add(stop, stop_fd_, POLLIN);
  io_uring_sqe_set_data64(stop, static_cast<std::uint64_t>(Kind::kStop));
  std::array<io_uring_cqe*, 256> completions;
  while (!stopping_) {
    // What has just failed, for want of descriptors, is tried again a little later.
    if (!accepting_ && !std::exchange(accept_failed_, false)) accepting_ = arm(Kind::kAccept, 0);
    ring_.wait(touched_.empty() && accepting_ ? -1 : kRetryMs);
    for (unsigned left = ring_.completions(); left > 0;) {
      const unsigned count = ring_.peek(std::span(completions).first(std::min<std::size_t>(left, completions.size())));
      for (unsigned i = 0; i < count; ++i) handle(*completions[i]);
      ring_.advance(count);
      left -= count;
    }
    ring_.publish();
    // A lean send's completion may be among those that the kernel still keeps.
    if (ring_.overflowed()) continue;
    arrange_touched();
    free_slots_.insert(free_slots_.end(), closed_slots_.begin(), closed_slots_.end());
    closed_slots_.clear();
  }
}

void EchoServer::handle(const io_uring_cqe& completion) {
  const auto slot = static_cast<std::uint32_t>(completion.user_data >> kSlotShift);
  const auto kind = static_cast<Kind>(completion.user_data & 0xff);
  switch (kind) {
    case Kind::kAccept:
      if ((completion.flags & IORING_CQE_F_MORE) == 0) accepting_ = false;
      return accepted(completion.res);
    case Kind::kReceive: return received(slot, completion);
    case Kind::kLean:
    case Kind::kPatient: return sent(slot, kind, completion.res);
    case Kind::kCancel: return;
    case Kind::kStop: stopping_ = true; return;
  }
}

void EchoServer::accepted(int result) {
  if (result < 0) {
    accept_failed_ = true;
    return;
  }
  net::Fd fd(result);
  if (free_slots_.empty() && connections_.size() == kConnectionsMax) return;
  net::set_no_delay(fd.get());
  if (free_slots_.empty()) {
    free_slots_.push_back(static_cast<std::uint32_t>(connections_.size()));
    connections_.emplace_back();
  }
  const std::uint32_t slot = free_slots_.back();
  free_slots_.pop_back();
  connections_[slot].fd = std::move(fd);
  touch(slot);
}

void EchoServer::received(std::uint32_t slot, const io_uring_cqe& completion) {
  Connection& connection = connections_[slot];
  if (completion.res > 0) {
    const std::uint32_t bytes = connection.seen_bytes + static_cast<std::uint32_t>(completion.res);
    const std::uint32_t requests = bytes / shape_.request_bytes;
    connection.seen_bytes = bytes - requests * shape_.request_bytes;
    connection.owed_bytes += std::uint64_t{requests} * shape_.reply_bytes;
  } else if (completion.res == 0 || (completion.res != -ENOBUFS && completion.res != -ECANCELED)) {
    connection.ended = true;
    if (completion.res < 0) connection.owed_bytes = 0;  // the connection is lost
  }
  if ((completion.flags & IORING_CQE_F_BUFFER) != 0) ring_.recycle(completion);
  if ((completion.flags & IORING_CQE_F_MORE) == 0) connection.receiving = connection.cancelling = false;
  touch(slot);
}

void EchoServer::sent(std::uint32_t slot, Kind kind, int result) {
  Connection& connection = connections_[slot];
  if (kind == Kind::kLean) {  // was taken for sent
    connection.owed_bytes += connection.lean_bytes;
    const std::uint32_t whole = shape_.reply_bytes;
    connection.sent_bytes = (connection.sent_bytes + whole - connection.lean_bytes % whole) % whole;
    connection.patient = true;
  } else {
    connection.sending = false;
  }
  if (result > 0) {
    connection.owed_bytes -= std::min<std::uint64_t>(connection.owed_bytes, static_cast<std::uint32_t>(result));
    connection.sent_bytes = (connection.sent_bytes + static_cast<std::uint32_t>(result)) % shape_.reply_bytes;
  } else if (result != -EAGAIN && result != -EINTR) {
    connection.ended = true;
    connection.owed_bytes = 0;
  }
  if (connection.owed_bytes == 0) connection.patient = false;
  touch(slot);
}

void EchoServer::touch(std::uint32_t slot) {
  if (!std::exchange(connections_[slot].touched, true)) touched_.push_back(slot);
}

void EchoServer::arrange_touched() {
  std::size_t left = 0;
  for (const std::uint32_t slot : touched_) {
    connections_[slot].touched = !arrange(slot);
    if (connections_[slot].touched) touched_[left++] = slot;
  }
  touched_.resize(left);
}

bool EchoServer::arrange(std::uint32_t slot) {
  Connection& connection = connections_[slot];
  if (connection.sending) return true;  // its completion comes here again
  if (connection.owed_bytes > 0) {
    // The last one must be seen to be done, and so must a part.
    const std::uint64_t at_once = block_.size() - connection.sent_bytes;
    connection.patient = connection.patient || connection.ended || connection.owed_bytes > at_once;
    if (!arm(connection.patient ? Kind::kPatient : Kind::kLean, slot)) return false;
  }
  const bool wanted = !connection.ended && !connection.patient;
  if (connection.receiving && !wanted && !connection.cancelling)
    return connection.cancelling = arm(Kind::kCancel, slot);
  if (!connection.receiving && wanted) return connection.receiving = arm(Kind::kReceive, slot);
  if (connection.ended && !connection.receiving && !connection.sending) close(slot);
  return true;
}

// False: the kernel takes no more submissions now.
bool EchoServer::arm(Kind kind, std::uint32_t slot) {
  io_uring_sqe* sqe = ring_.sqe();
  if (sqe == nullptr) return false;
  const auto tag = [slot](Kind of) { return std::uint64_t{slot} << kSlotShift | static_cast<std::uint64_t>(of); };
  switch (kind) {
    case Kind::kAccept:
      io_uring_prep_multishot_accept(sqe, listening_.fd.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      break;
    case Kind::kReceive:
      io_uring_prep_recv_multishot(sqe, connections_[slot].fd.get(), nullptr, 0, 0);
      sqe->flags |= IOSQE_BUFFER_SELECT;
      sqe->buf_group = net::Ring::kBufferGroup;
      break;
    case Kind::kCancel: io_uring_prep_cancel64(sqe, tag(Kind::kReceive), 0); break;
    case Kind::kLean:
    case Kind::kPatient: prepare_send(*sqe, kind, connections_[slot]); break;
    case Kind::kStop: break;
  }
  io_uring_sqe_set_data64(sqe, tag(kind));
  return true;
}

void EchoServer::prepare_send(io_uring_sqe& sqe, Kind kind, Connection& connection) {
  const std::size_t bytes = std::min<std::uint64_t>(connection.owed_bytes, block_.size() - connection.sent_bytes);
  const bool lean = kind == Kind::kLean;
  io_uring_prep_send(&sqe, connection.fd.get(), block_.data() + connection.sent_bytes, bytes,
                     MSG_NOSIGNAL | MSG_WAITALL | (lean ? MSG_DONTWAIT : 0));
  if (lean) {
    sqe.flags |= IOSQE_CQE_SKIP_SUCCESS;
    connection.lean_bytes = static_cast<std::uint32_t>(bytes);
    connection.owed_bytes = 0;
    connection.sent_bytes = static_cast<std::uint32_t>((connection.sent_bytes + bytes) % shape_.reply_bytes);
  } else {
    connection.sending = true;
  }
}

void EchoServer::close(std::uint32_t slot) {
  connections_[slot] = {};
  closed_slots_.push_back(slot);
}

}  // namespace pelikan::tools::bench
