#include "net/uring_probe.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>
#include <vector>

#include "net/fd.h"
#include "net/uring_ring.h"

namespace pelikan::net {
namespace {

constexpr int kPatienceMs = 1000;
constexpr std::uint32_t kEntries = 16;
constexpr std::uint32_t kBuffers = 8;
constexpr std::uint32_t kBufferBytes = 64;

void require(bool holds, const char* step, int error) {
  if (!holds) throw std::runtime_error(std::string(step) + ": " + std::strerror(error));
}

struct Completion {
  int result;
  unsigned flags;
};

Completion next(Ring& ring, const char* step) {
  io_uring_cqe* completion = nullptr;
  ring.wait(kPatienceMs);
  require(ring.peek({&completion, 1}) == 1, step, ETIME);
  const Completion copy{completion->res, completion->flags};
  ring.advance(1);
  require(copy.result >= 0, step, -copy.result);
  return copy;
}

std::pair<Fd, Fd> socket_pair() {
  int fds[2];
  require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0, "socketpair", errno);
  return {Fd(fds[0]), Fd(fds[1])};
}

// Two messages, one submission: the receive must stay armed.
void try_receive(Ring& ring) {
  const auto [ours, theirs] = socket_pair();
  io_uring_sqe* sqe = ring.sqe();
  io_uring_prep_recv_multishot(sqe, ours.get(), nullptr, 0, 0);
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = Ring::kBufferGroup;
  for (int i = 0; i < 2; ++i) {
    if (i > 0) require(!ring.ready(), "busy polling", EOPNOTSUPP);
    require(::send(theirs.get(), "x", 1, MSG_NOSIGNAL) == 1, "send", errno);
    if (i > 0) require(ring.ready(), "busy polling", EOPNOTSUPP);
    const Completion completion = next(ring, "multishot receive");
    const unsigned wanted = IORING_CQE_F_MORE | IORING_CQE_F_BUFFER;
    require(completion.result == 1 && (completion.flags & wanted) == wanted, "multishot receive", EOPNOTSUPP);
  }
  ::shutdown(theirs.get(), SHUT_WR);
  require(next(ring, "multishot receive").result == 0, "multishot receive", EOPNOTSUPP);
}

// A send that may not wait and is too long for the socket must say how much it has sent.
void try_short_send(Ring& ring) {
  const auto [ours, theirs] = socket_pair();
  const std::vector<char> bytes(4 << 20);
  io_uring_sqe* sqe = ring.sqe();
  io_uring_prep_send(sqe, ours.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_WAITALL | MSG_DONTWAIT);
  sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
  const auto sent = static_cast<std::size_t>(next(ring, "short send").result);
  require(sent > 0 && sent < bytes.size(), "short send", EOPNOTSUPP);
}

void try_accept(Ring& ring) {
  const Fd listening(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  require(static_cast<bool>(listening), "socket", errno);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  socklen_t length = sizeof(sa_family_t);  // the kernel chooses a name that is not in any folder
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  require(::bind(listening.get(), generic, length) == 0, "bind", errno);
  require(::listen(listening.get(), 4) == 0, "listen", errno);
  length = sizeof(address);
  require(::getsockname(listening.get(), generic, &length) == 0, "getsockname", errno);
  // Multishot; one accept at a time is older than all else here.
  io_uring_sqe* sqe = ring.sqe();
  io_uring_prep_multishot_accept(sqe, listening.get(), nullptr, nullptr, SOCK_CLOEXEC);
  for (int i = 0; i < 2; ++i) {
    const Fd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    require(::connect(client.get(), generic, length) == 0, "connect", errno);
    const Completion completion = next(ring, "multishot accept");
    const Fd accepted(completion.result);
    require((completion.flags & IORING_CQE_F_MORE) != 0, "multishot accept", EOPNOTSUPP);
  }
}

}  // namespace

std::string probe_uring() {
  try {
    Ring ring(kEntries, kBuffers, kBufferBytes, true);  // a kernel that lets DEFER_TASKRUN be polled does without, too
    ring.enable();
    try_receive(ring);
    try_short_send(ring);
    try_accept(ring);
    return {};
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace pelikan::net
