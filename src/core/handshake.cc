#include "core/handshake.h"

#include <utility>

#include "core/listener.h"
#include "net/socket.h"

namespace pelikan::core {

using Progress = net::tls::Session::Progress;

Handshake::Handshake(Listener& listener, const net::tls::Context& context, std::unique_ptr<net::tls::Session> tls,
                     int fd, std::uint64_t deadline_ns)
    : listener_(listener),
      tls_(std::move(tls)),
      established_(std::make_unique<Established>()),
      input_(listener.buffers()),
      wire_(listener.buffers()),
      deadline_ns_(deadline_ns),
      peer_(net::peer_name(fd)) {
  established_->trust = context.trust_fingerprint();
  established_->input.join(listener.buffers());
}

void Handshake::on_data(std::string_view bytes) {
  heard_ = true;
  if (state_ == State::kLeaving) return decrypt(bytes);
  if (state_ != State::kShaking) return;
  if (listener_.buffers().over_limit()) {
    listener_.handshake_failed({net::tls::Cause::kResources, "handshakes hold more than server.buffer_memory"}, peer_);
    return close();
  }
  input_.append(bytes);
  if (input_.size() >= kInputBytesMax && !std::exchange(paused_, true)) listener_.loop().pause(*this);
  listener_.queue_step(*this);
}

void Handshake::on_end(int error) {
  (error == 0 ? ended_ : lost_) = true;
  switch (state_) {
    case State::kShaking:
      if (!queued) abandon();  // else what has come may be all that it needs, or say why it ended
      break;
    case State::kLeaving:
      if (lost_) close();  // the end alone the worker's loop will see, too
      break;
    case State::kRefusing: lost_ ? close() : flush(); break;
    case State::kClosing: break;
  }
}

void Handshake::abandon() {
  if (state_ == State::kShaking) listener_.handshake_abandoned(heard_, peer_);
  close();
}

void Handshake::step() {
  queued = false;
  if (state_ != State::kShaking) return;
  std::string_view bytes = input_.view();
  const Progress progress = tls_->handshake(bytes, wire_);
  input_.consume(input_.size() - bytes.size());
  if (progress != Progress::kDone && std::exchange(paused_, false)) listener_.loop().resume(*this);
  switch (progress) {
    case Progress::kMore: return ended_ || lost_ ? abandon() : flush();
    case Progress::kDone: return lost_ ? abandon() : leave();
    case Progress::kFailed: return refuse();
  }
}

// The first requests may have come together with the end of the handshake.
void Handshake::leave() {
  state_ = State::kLeaving;
  const Buffer rest = std::move(input_);
  decrypt(rest.view());
  if (state_ != State::kLeaving) return;
  flush();
  detaching_ = true;
  listener_.loop().detach(*this);
}

void Handshake::decrypt(std::string_view bytes) {
  if (!bytes.empty()) {
    established_->receives += 1;
    established_->receive_bytes += bytes.size();
  }
  while (!established_->peer_ended) {
    std::string_view plain;
    switch (tls_->receive(bytes, listener_.scratch(), plain, wire_)) {
      case Progress::kMore:
        if (plain.empty()) return;
        established_->input.append(plain);
        break;
      case Progress::kDone: established_->peer_ended = true; break;
      case Progress::kFailed: return refuse();
    }
  }
}

// The peer gets the alert and a FIN, and some time to answer it: closing at once could turn into a reset that destroys
// the alert.
void Handshake::refuse() {
  listener_.handshake_failed(tls_->failure(), peer_);
  if (lost_) return close();
  state_ = State::kRefusing;
  deadline_ns_ = listener_.farewell_deadline_ns();
  flush();
}

void Handshake::flush() {
  if (sending_) return;
  if (!wire_.empty()) {
    sending_ = true;
    return listener_.loop().send(*this, std::move(wire_));
  }
  if (state_ != State::kRefusing || detaching_) return;
  if (ended_) return close();
  if (!std::exchange(fin_sent_, true)) listener_.loop().shutdown_write(*this);
}

void Handshake::on_sent() {
  sending_ = false;
  flush();
}

void Handshake::expire() {
  if (state_ == State::kClosing) return;
  if (state_ != State::kRefusing) listener_.handshake_timed_out(heard_, peer_);
  close();
}

void Handshake::close() {
  if (std::exchange(state_, State::kClosing) != State::kClosing) listener_.loop().close(*this);
}

void Handshake::on_detached(net::Fd fd) {
  detaching_ = false;
  if (state_ == State::kRefusing) {  // nonsense came on the way
    listener_.loop().attach(*this, std::move(fd));
    return flush();
  }
  static_cast<void>(tls_->release_buffers());  // its first request may be a while
  established_->fd = std::move(fd);
  established_->tls = std::move(tls_);
  established_->input.leave_pool();
  listener_.handshake_done(*this, std::move(established_));
}

void Handshake::on_closed() { listener_.handshake_closed(*this); }

}  // namespace pelikan::core
