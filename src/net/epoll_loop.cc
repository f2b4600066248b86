#include "net/epoll_loop.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <utility>

#include "base/check.h"
#include "net/accept_error.h"

namespace pelikan::net {
namespace {

// What an event belongs to: a Stream's address, a Port's address with the lowest bit set, or nothing (the wake-up).
constexpr std::uintptr_t kPortBit = 1;

}  // namespace

EpollLoop::EpollLoop(const LoopOptions& options)
    : poll_(options.busy_poll),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      receive_bytes_(options.receive_bytes),
      receive_buffer_(std::make_unique_for_overwrite<char[]>(options.receive_bytes)) {
  CHECK(options.receive_bytes > 0);
  // Edge-triggered: every write is told once, and nobody has to read the counter.
  epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.u64 = 0}};
  if (!epoll_ || ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wakeup_.fd(), &event) != 0) {
    throw std::runtime_error("epoll: " + std::string(std::strerror(errno)));
  }
}

void EpollLoop::register_interest(Stream& stream, std::uint32_t events) {
  auto& state = stream.state_;
  if (state.registered && state.interest == events) return;
  epoll_event event{.events = events, .data = {.ptr = &stream}};
  const int operation = state.registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  if (::epoll_ctl(epoll_.get(), operation, state.fd.get(), &event) != 0) {
    state.error = errno;
    queue(stream);
    return;
  }
  state.registered = true;
  state.interest = events;
}

void EpollLoop::unregister(Stream& stream) {
  auto& state = stream.state_;
  if (!state.registered) return;
  // Said even before a close: another process may hold a copy of the descriptor, and the kernel would go on telling.
  epoll_event unused{};
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, state.fd.get(), &unused);
  state.registered = false;
  state.interest = 0;
}

void EpollLoop::queue(Stream& stream) {
  if (std::exchange(stream.state_.queued, true)) return;
  queued_.push_back(&stream);
}

void EpollLoop::attach(Stream& stream, Fd fd) {
  stream.state_ = {};
  stream.state_.fd = std::move(fd);
  stream.state_.receiving = true;
  register_interest(stream, EPOLLIN);
}

void EpollLoop::send(Stream& stream, Buffer&& output, SentNotice /*notice: epoll tells at once, at no cost*/) {
  auto& state = stream.state_;
  CHECK(!state.closing && !state.output);
  state.output.emplace(std::move(output));
  queue(stream);
}

void EpollLoop::pause(Stream& stream) { stream.state_.receiving = false; }

void EpollLoop::resume(Stream& stream) {
  auto& state = stream.state_;
  if (state.receiving || state.closing || state.detaching) return;
  state.receiving = true;
  if (!state.ended) register_interest(stream, state.interest | EPOLLIN);
}

void EpollLoop::shutdown_write(Stream& stream) {
  CHECK(!stream.state_.output);
  ::shutdown(stream.state_.fd.get(), SHUT_WR);
}

void EpollLoop::close(Stream& stream) {
  auto& state = stream.state_;
  if (std::exchange(state.closing, true)) return;
  state.receiving = false;
  unregister(stream);
  departures_.add(stream);
}

void EpollLoop::detach(Stream& stream) {
  auto& state = stream.state_;
  if (state.closing || std::exchange(state.detaching, true)) return;
  state.receiving = false;
  leave_when_idle(stream);
}

void EpollLoop::leave_when_idle(Stream& stream) {
  const auto& state = stream.state_;
  if (!state.detaching || state.closing || state.output) return;
  unregister(stream);
  departures_.add(stream);
}

void EpollLoop::wait(int timeout_ms) {
  int timeout = queued_.empty() && departures_.empty() && accept_error_ == 0 ? timeout_ms : 0;
  if (!poll_.ends_wait(timeout, wakeup_, [this] { return look(0); })) {
    if (timeout != 0 && !wakeup_.begin_sleep()) timeout = 0;
    look(timeout);
  }
  wakeup_.end_sleep();
}

bool EpollLoop::look(int timeout_ms) {
  const int count = ::epoll_wait(epoll_.get(), events_.data(), static_cast<int>(events_.size()), timeout_ms);
  event_count_ = count > 0 ? static_cast<std::size_t>(count) : 0;
  return count > 0;
}

std::size_t EpollLoop::dispatch() {
  received_ = 0;
  const std::size_t leaving = departures_.size();  // a close() or detach() from below waits for the next turn
  const std::size_t event_count = std::exchange(event_count_, 0);
  for (std::size_t i = 0; i < event_count; ++i) {
    const epoll_event& event = events_[i];
    const auto address = reinterpret_cast<std::uintptr_t>(event.data.ptr);
    if (address == 0) continue;
    if ((address & kPortBit) != 0) {
      accept_batch(*reinterpret_cast<Port*>(address & ~kPortBit));
    } else {
      handle(*static_cast<Stream*>(event.data.ptr), event.events);
    }
  }
  if (accept_error_ != 0) ports_.front()->acceptor.on_accept_error(std::exchange(accept_error_, 0));
  work_on_queued();
  departures_.finish(leaving);
  return received_;
}

void EpollLoop::handle(Stream& stream, std::uint32_t events) {
  auto& state = stream.state_;
  if (state.closing) return;
  const bool broken = (events & (EPOLLERR | EPOLLHUP)) != 0;
  if (state.output && (broken || (events & EPOLLOUT) != 0)) queue(stream);  // a send finds out what is broken
  if (state.receiving && !state.ended) {
    if (broken || (events & EPOLLIN) != 0) receive(stream);
  } else if (broken && !state.output) {
    unregister(stream);  // would be told for ever
    return;
  }
  if (state.closing || !state.registered) return;
  std::uint32_t wanted = state.interest;
  if (!state.receiving || state.ended) wanted &= ~static_cast<std::uint32_t>((events & EPOLLIN));
  if (!state.output) wanted &= ~static_cast<std::uint32_t>(EPOLLOUT);
  register_interest(stream, wanted);
}

void EpollLoop::receive(Stream& stream) {
  auto& state = stream.state_;
  const ssize_t count = ::recv(state.fd.get(), receive_buffer_.get(), receive_bytes_, MSG_DONTWAIT);
  if (count > 0) {
    ++received_;
    stream.on_data({receive_buffer_.get(), static_cast<std::size_t>(count)});
  } else if (count == 0) {
    state.ended = true;
    stream.on_end(0);
  } else if (errno != EAGAIN && errno != EINTR) {
    lose(stream, errno);
  }
}

void EpollLoop::lose(Stream& stream, int error) {
  auto& state = stream.state_;
  unregister(stream);
  state.ended = true;
  if (std::exchange(state.lost, true)) return;
  stream.on_end(error);
}

// Replies may be answered by on_sent() with more output: that is sent in the same turn, for a bounded number of rounds.
void EpollLoop::work_on_queued() {
  for (int round = 0; round < kSendRounds && !queued_.empty(); ++round) {
    batch_.swap(queued_);
    for (Stream* stream : batch_) work_on(*stream);
    batch_.clear();
  }
}

void EpollLoop::work_on(Stream& stream) {
  auto& state = stream.state_;
  state.queued = false;
  if (state.closing) return;
  if (state.error != 0) {
    lose(stream, std::exchange(state.error, 0));
  } else if (state.output) {
    try_send(stream);
  }
  leave_when_idle(stream);
}

void EpollLoop::try_send(Stream& stream) {
  auto& state = stream.state_;
  const auto bytes = state.output->view();
  const ssize_t sent = ::send(state.fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent >= 0 && static_cast<std::size_t>(sent) == bytes.size()) {
    state.output.reset();
    stream.on_sent();
  } else if (sent >= 0 || errno == EAGAIN) {
    if (sent > 0) state.output->consume(static_cast<std::size_t>(sent));
    register_interest(stream, state.interest | EPOLLOUT);
  } else if (errno == EINTR) {
    queue(stream);
  } else {
    lose(stream, errno);
  }
}

void EpollLoop::listen(Acceptor& acceptor, int listening_fd) {
  ports_.push_back(std::make_unique<Port>(Port{acceptor, listening_fd}));
  if (accepting_ && !watch(*ports_.back())) throw std::runtime_error("epoll_ctl: " + std::string(std::strerror(errno)));
}

bool EpollLoop::watch(Port& port) {
  // Exclusive: of the loops that listen to this socket one is woken, not all. Cannot be modified, only removed.
  epoll_event event{.events = EPOLLIN | EPOLLEXCLUSIVE,
                    .data = {.u64 = reinterpret_cast<std::uintptr_t>(&port) | kPortBit}};
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, port.fd, &event) == 0;
}

void EpollLoop::stop_accepting() {
  if (!std::exchange(accepting_, false)) return;
  epoll_event unused{};
  for (const auto& port : ports_) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, port->fd, &unused);
}

void EpollLoop::pause_accept() { stop_accepting(); }

void EpollLoop::resume_accept() {
  if (std::exchange(accepting_, true)) return;
  accept_error_ = 0;
  for (const auto& port : ports_) {
    if (watch(*port)) continue;
    accept_error_ = errno;
    stop_accepting();
    return;
  }
}

// At least one, even when accepting was paused since the event: no other loop that listens there was told of it.
void EpollLoop::accept_batch(Port& port) {
  int count = 0;
  do {
    Fd fd(::accept4(port.fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd) {
      port.acceptor.on_accept(std::move(fd));
    } else if (errno == EAGAIN) {
      return;
    } else if (const int error = errno; !lost_one_connection(error) && accepting_) {
      stop_accepting();
      port.acceptor.on_accept_error(error);
      return;
    }
  } while (accepting_ && ++count < kAcceptsPerTurn);
}

}  // namespace pelikan::net
