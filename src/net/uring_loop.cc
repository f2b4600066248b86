#include "net/uring_loop.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "base/check.h"
#include "net/accept_error.h"

namespace pelikan::net {
namespace {

// What a completion belongs to: an address (of a Stream, a Port, or nothing), the operation in its three lowest bits.
enum class Operation : std::uint64_t { kReceive, kReceiveCancel, kSend, kSendCancel, kAccept, kAcceptCancel, kWakeup };
constexpr std::uint64_t kOperationMask = 7;
constexpr std::size_t kBatch = 128;
constexpr int kAcceptFlags = SOCK_NONBLOCK | SOCK_CLOEXEC;

static_assert(alignof(Stream) > kOperationMask);

std::uint64_t tag(const void* owner, Operation operation) {
  return reinterpret_cast<std::uintptr_t>(owner) | static_cast<std::uint64_t>(operation);
}

Operation operation_of(const io_uring_cqe& completion) {
  return static_cast<Operation>(completion.user_data & kOperationMask);
}

template <class Owner>
Owner& owner_of(const io_uring_cqe& completion) {
  return *reinterpret_cast<Owner*>(static_cast<std::uintptr_t>(completion.user_data & ~kOperationMask));
}

}  // namespace

UringLoop::UringLoop(const LoopOptions& options)
    : poll_(options.busy_poll),
      ring_(options.ring_entries, options.receive_buffers, options.receive_bytes, options.busy_poll.count() > 0),
      share_accepts_(options.share_accepts) {}

UringLoop::~UringLoop() {
  // Connections that were accepted and never told of.
  std::array<io_uring_cqe*, kBatch> batch;
  while (const unsigned count = ring_.completions() == 0 ? 0 : ring_.peek(batch)) {
    for (unsigned i = 0; i < count; ++i) {
      if (operation_of(*batch[i]) == Operation::kAccept && batch[i]->res >= 0) Fd(batch[i]->res).reset();
    }
    ring_.advance(count);
  }
}

void UringLoop::queue(Stream& stream) {
  if (std::exchange(stream.state_.queued, true)) return;
  queued_.push_back(&stream);
}

void UringLoop::attach(Stream& stream, Fd fd) {
  stream.state_ = {};
  stream.state_.fd = std::move(fd);
  stream.state_.receiving = true;
  queue(stream);
}

void UringLoop::send(Stream& stream, Buffer&& output, SentNotice notice) {
  auto& state = stream.state_;
  CHECK(!state.closing && !state.output);
  state.output.emplace(std::move(output));
  state.send_at_once = notice == SentNotice::kLater && !state.detaching;
  queue(stream);
}

// A send that is not armed yet can still be told of at once; one that is armed keeps the next wait() from sleeping.
void UringLoop::tell_soon(Stream& stream) {
  if (!stream.state_.send_armed) stream.state_.send_at_once = false;
}

void UringLoop::pause(Stream& stream) {
  stream.state_.receiving = false;
  if (!stream.state_.closing && !stream.state_.detaching) queue(stream);
}

void UringLoop::resume(Stream& stream) {
  if (stream.state_.closing || stream.state_.detaching) return;
  stream.state_.receiving = true;
  queue(stream);
}

void UringLoop::shutdown_write(Stream& stream) {
  CHECK(!stream.state_.output);
  ::shutdown(stream.state_.fd.get(), SHUT_WR);
}

void UringLoop::close(Stream& stream) {
  if (std::exchange(stream.state_.closing, true)) return;
  stream.state_.receiving = false;
  queue(stream);
}

void UringLoop::detach(Stream& stream) {
  auto& state = stream.state_;
  if (state.closing || std::exchange(state.detaching, true)) return;
  state.receiving = false;
  tell_soon(stream);
  queue(stream);
}

void UringLoop::listen(Acceptor& acceptor, int listening_fd) {
  ports_.push_back(std::make_unique<Port>(Port{acceptor, listening_fd}));
  ports_changed_ = true;
}

void UringLoop::pause_accept() {
  accepting_ = false;
  ports_changed_ = true;
}

void UringLoop::resume_accept() {
  accepting_ = true;
  ports_changed_ = true;
}

void UringLoop::wait(int timeout_ms) {
  if (!std::exchange(enabled_, true)) ring_.enable();
  const bool sends_in_doubt = !unnoticed_.empty();
  submit_wanted();
  const bool refused = !queued_.empty() || !starved_.empty() || ports_changed_ || !wakeup_armed_;
  const bool busy = refused || sends_in_doubt || !departures_.empty() || ring_.completions() > 0;
  int timeout = busy ? 0 : timeout_ms;
  if (!polling_ends_wait(timeout)) {
    if (timeout != 0 && !wakeup_.begin_sleep()) timeout = 0;
    ring_.wait(timeout);
  }
  wakeup_.end_sleep();
}

// Submits, then makes no system call until there is something to fetch.
bool UringLoop::polling_ends_wait(int& timeout_ms) {
  if (timeout_ms == 0 || !poll_.on()) return false;
  if (!ring_.all_submitted()) {
    ring_.wait(0);
    if (ring_.completions() > 0 || !ring_.all_submitted()) return true;
  }
  return poll_.ends_wait(timeout_ms, wakeup_, [this] {
    if (!ring_.ready()) return false;
    ring_.wait(0);
    return ring_.completions() > 0;
  });
}

std::size_t UringLoop::dispatch() {
  ++turn_;
  received_ = 0;
  const std::size_t leaving = departures_.size();
  finish_unnoticed_sends();
  std::array<io_uring_cqe*, kBatch> batch;
  unsigned budget = ring_.completions_max();
  unsigned count = 0;
  while (budget > 0 && (count = ring_.peek({batch.data(), std::min<std::size_t>(batch.size(), budget)})) > 0) {
    for (unsigned i = 0; i < count; ++i) handle(*batch[i]);
    ring_.advance(count);
    ring_.publish();
    budget -= count;
  }
  std::erase_if(unnoticed_, [](const Stream* stream) { return !unnoticed(*stream); });
  departures_.finish(leaving);
  return received_;
}

// --- submission -----------------------------------------------------------------------------------------------------

void UringLoop::submit_wanted() {
  if (!arrange_wakeup() || !arrange_ports()) return;
  arrange_all(starved_);
  if (starved_.empty()) arrange_all(queued_);
}

bool UringLoop::arrange_wakeup() {
  if (wakeup_armed_) return true;
  io_uring_sqe* sqe = ring_.sqe();
  if (sqe == nullptr) return false;
  io_uring_prep_read(sqe, wakeup_.fd(), &wakeup_value_, sizeof(wakeup_value_), 0);
  sqe->user_data = tag(nullptr, Operation::kWakeup);
  wakeup_armed_ = true;
  return true;
}

bool UringLoop::arrange_ports() {
  if (!ports_changed_) return true;
  for (const auto& port : ports_) {
    const bool cancel = !accepting_ && port->armed && !port->cancel;
    if (!cancel && (!accepting_ || port->armed)) continue;
    io_uring_sqe* sqe = ring_.sqe();
    if (sqe == nullptr) return false;
    if (cancel) {
      io_uring_prep_cancel64(sqe, tag(port.get(), Operation::kAccept), 0);
      sqe->user_data = tag(port.get(), Operation::kAcceptCancel);
      port->cancel = true;
    } else {
      const auto prepare = share_accepts_ ? io_uring_prep_accept : io_uring_prep_multishot_accept;
      prepare(sqe, port->fd, nullptr, nullptr, kAcceptFlags);
      sqe->user_data = tag(port.get(), Operation::kAccept);
      port->armed = true;
    }
  }
  ports_changed_ = false;
  return true;
}

void UringLoop::arrange_all(std::vector<Stream*>& streams) {
  std::size_t done = 0;
  while (done < streams.size() && arrange(*streams[done])) streams[done++]->state_.queued = false;
  streams.erase(streams.begin(), streams.begin() + static_cast<std::ptrdiff_t>(done));
}

bool UringLoop::arrange(Stream& stream) {
  const auto& state = stream.state_;
  if (state.closing) return arrange_close(stream);
  const bool wanted = state.receiving && !state.ended;
  if (wanted && !state.receive_armed && !arm_receive(stream)) return false;
  if (!wanted && state.receive_armed && !cancel_receive(stream)) return false;
  if (state.output && !state.send_armed && !state.lost && !arm_send(stream)) return false;
  if (state.detaching && state.pending == 0) departures_.add(stream);
  return true;
}

bool UringLoop::arrange_close(Stream& stream) {
  const auto& state = stream.state_;
  if (state.receive_armed && !cancel_receive(stream)) return false;
  if (state.send_armed && !cancel_send(stream)) return false;
  if (state.pending == 0) departures_.add(stream);
  return true;
}

bool UringLoop::arm_receive(Stream& stream) {
  auto& state = stream.state_;
  io_uring_sqe* sqe = ring_.sqe();
  if (sqe == nullptr) return false;
  io_uring_prep_recv_multishot(sqe, state.fd.get(), nullptr, 0, 0);
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = Ring::kBufferGroup;
  sqe->user_data = tag(&stream, Operation::kReceive);
  state.receive_armed = true;
  state.fed = false;
  ++state.pending;
  return true;
}

bool UringLoop::cancel_receive(Stream& stream) {
  auto& state = stream.state_;
  if (state.receive_cancel) return true;
  io_uring_sqe* sqe = ring_.sqe();
  if (sqe == nullptr) return false;
  io_uring_prep_cancel64(sqe, tag(&stream, Operation::kReceive), 0);
  sqe->user_data = tag(&stream, Operation::kReceiveCancel);
  state.receive_cancel = true;
  ++state.pending;
  return true;
}

bool UringLoop::arm_send(Stream& stream) {
  auto& state = stream.state_;
  io_uring_sqe* sqe = ring_.sqe();
  if (sqe == nullptr) return false;
  const auto bytes = state.output->view();
  const int wait = state.send_at_once ? MSG_DONTWAIT : 0;
  io_uring_prep_send(sqe, state.fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_WAITALL | wait);
  sqe->user_data = tag(&stream, Operation::kSend);
  if (state.send_at_once) {
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    unnoticed_.push_back(&stream);
  }
  state.send_armed = true;
  ++state.pending;
  return true;
}

bool UringLoop::cancel_send(Stream& stream) {
  auto& state = stream.state_;
  if (state.send_cancel || state.send_at_once) return true;
  io_uring_sqe* sqe = ring_.sqe();
  if (sqe == nullptr) return false;
  io_uring_prep_cancel64(sqe, tag(&stream, Operation::kSend), 0);
  sqe->user_data = tag(&stream, Operation::kSendCancel);
  state.send_cancel = true;
  ++state.pending;
  return true;
}

// --- completion -----------------------------------------------------------------------------------------------------

void UringLoop::handle(const io_uring_cqe& completion) {
  switch (operation_of(completion)) {
    case Operation::kReceive: return handle_receive(owner_of<Stream>(completion), completion);
    case Operation::kSend: return handle_send(owner_of<Stream>(completion), completion.res);
    case Operation::kAccept: return handle_accept(owner_of<Port>(completion), completion);
    case Operation::kWakeup: wakeup_armed_ = false; return;
    case Operation::kReceiveCancel: {
      auto& stream = owner_of<Stream>(completion);
      stream.state_.receive_cancel = false;
      --stream.state_.pending;
      return queue(stream);
    }
    case Operation::kSendCancel: {
      auto& stream = owner_of<Stream>(completion);
      stream.state_.send_cancel = false;
      --stream.state_.pending;
      return queue(stream);
    }
    case Operation::kAcceptCancel:
      owner_of<Port>(completion).cancel = false;
      ports_changed_ = true;
      return;
  }
}

void UringLoop::handle_receive(Stream& stream, const io_uring_cqe& completion) {
  auto& state = stream.state_;
  const int result = completion.res;
  const bool more = (completion.flags & IORING_CQE_F_MORE) != 0;
  const bool has_buffer = (completion.flags & IORING_CQE_F_BUFFER) != 0;
  if (!more) {
    state.receive_armed = false;
    --state.pending;
  }
  if (has_buffer && result > 0 && !state.closing && !state.ended) {
    state.fed = true;
    if (std::exchange(state.turn, turn_) != turn_) ++received_;
    stream.on_data(ring_.buffer(completion));
  }
  if (has_buffer) ring_.recycle(completion);
  if (!more) handle_receive_stop(stream, result);
}

void UringLoop::handle_receive_stop(Stream& stream, int result) {
  auto& state = stream.state_;
  if (!state.closing && !state.ended) {
    if (result == 0) {
      state.ended = true;
      stream.on_end(0);
    } else if (result == -ENOBUFS && !state.fed && !std::exchange(state.queued, true)) {
      starved_.push_back(&stream);
    } else if (result < 0 && result != -ENOBUFS && result != -ECANCELED && result != -EINTR && result != -EAGAIN) {
      lose(stream, -result);
    }
  }
  queue(stream);
}

void UringLoop::handle_send(Stream& stream, int result) {
  auto& state = stream.state_;
  state.send_armed = false;
  --state.pending;
  state.send_at_once = false;  // what is left waits in the kernel until there is room
  queue(stream);
  if (state.closing || state.lost || result == -EAGAIN || result == -EINTR) return;
  if (result < 0) return lose(stream, -result);
  state.output->consume(static_cast<std::size_t>(result));
  if (state.output->empty()) finish_send(stream);
}

void UringLoop::finish_send(Stream& stream) {
  stream.state_.output.reset();
  stream.on_sent();
}

// Told before all else of the turn, so that on_sent() comes before the next request's on_data(), as in epoll.
void UringLoop::finish_unnoticed_sends() {
  if (unnoticed_.empty() || !ring_.all_submitted() || ring_.overflowed()) return;  // not all results are in sight yet
  ring_.look([](const io_uring_cqe& completion) {
    if (operation_of(completion) == Operation::kSend) owner_of<Stream>(completion).state_.send_at_once = false;
  });
  for (Stream* stream : unnoticed_) {
    if (!unnoticed(*stream)) continue;
    auto& state = stream->state_;
    state.send_armed = false;
    --state.pending;
    if (state.closing || state.detaching) queue(*stream);
    if (!state.closing && !state.lost) finish_send(*stream);
  }
  unnoticed_.clear();
}

void UringLoop::lose(Stream& stream, int error) {
  stream.state_.ended = true;
  queue(stream);
  if (std::exchange(stream.state_.lost, true)) return;
  stream.on_end(error);
}

void UringLoop::handle_accept(Port& port, const io_uring_cqe& completion) {
  if ((completion.flags & IORING_CQE_F_MORE) == 0) {
    port.armed = false;
    ports_changed_ = true;
  }
  int result = completion.res;
  // What is cancelled may have been woken already, in place of another loop that listens there.
  if (share_accepts_ && result == -ECANCELED && !accepting_) {
    result = ::accept4(port.fd, nullptr, nullptr, kAcceptFlags);
  }
  if (result >= 0) {
    port.acceptor.on_accept(Fd(result));
  } else if (accepting_ && result != -ECANCELED && !lost_one_connection(-result)) {
    pause_accept();
    port.acceptor.on_accept_error(-result);
  }
}

}  // namespace pelikan::net
