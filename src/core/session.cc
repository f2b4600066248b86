#include "core/session.h"

#include <algorithm>

#include "core/worker.h"

namespace pelikan::core {

Session::Session(Worker& worker, SessionId id, std::unique_ptr<Conversation> conversation, int fd)
    : worker_(worker),
      conversation_(std::move(conversation)),
      input_(worker.buffers()),
      output_(worker.buffers()),
      id_(id),
      fd_(fd),
      last_active_sec_(worker.now().floor_sec) {}

void Session::on_data(std::string_view bytes) {
  worker_.metrics().session_recv.add();
  worker_.metrics().session_recv_byte.add(bytes.size());
  drain_bytes_ -= std::min<std::uint64_t>(drain_bytes_, bytes.size());
  if (state_ != State::kOpen) return;  // what is discarded does not put off the end
  last_active_sec_ = worker_.now().floor_sec;
  if (discard_bytes_ > 0) {
    const std::size_t count = std::min<std::uint64_t>(discard_bytes_, bytes.size());
    discard_bytes_ -= count;
    bytes.remove_prefix(count);
    if (bytes.empty()) return settle();
  }
  if (waiting_ || !input_.empty()) {
    input_.append(bytes);
    if (!waiting_ && input_.size() >= wanted_bytes_) input_.consume(serve(input_.view()));
  } else {
    bytes.remove_prefix(serve(bytes));
    if (state_ == State::kOpen) input_.append(bytes);
  }
  settle();
}

void Session::serve_waiting() {
  listed_ = false;
  if (state_ != State::kOpen || !waiting_) return;
  waiting_ = false;
  input_.consume(serve(input_.view()));
  settle();
}

std::size_t Session::serve(std::string_view bytes) {
  wanted_bytes_ = 0;
  if (output_full() || worker_.buffers().over_limit()) {  // over the limit: the turn's end sheds, then this goes on
    waiting_ = true;
    return 0;
  }
  const ServeResult result = conversation_->serve(bytes, output_, {});
  worker_.count_requests(result.requests);
  switch (result.status) {
    case ServeStatus::kNeedMore: wanted_bytes_ = result.wanted; break;
    case ServeStatus::kLimit: waiting_ = true; break;
    case ServeStatus::kInvalid: worker_.metrics().session_invalid.add(); [[fallthrough]];
    case ServeStatus::kClose: state_ = State::kFinishing; return bytes.size();
  }
  const std::size_t used = std::min<std::uint64_t>(result.consumed, bytes.size());
  discard_bytes_ = result.consumed - used;
  return used;
}

void Session::settle() {
  if (state_ == State::kClosing) return;
  if (state_ == State::kOpen && !waiting_ && (peer_ended_ || (draining_ && drain_bytes_ == 0))) {
    state_ = State::kFinishing;
  }
  if (state_ != State::kOpen || input_.empty()) input_.reset();
  const bool output_was_full = output_full();
  send_output();
  // What was sent in the belief that it was the last word was not.
  if (sending_ && (!output_.empty() || waiting_ || draining_ || state_ != State::kOpen))
    worker_.loop().tell_soon(*this);
  if (state_ != State::kOpen) return linger_or_close();
  // With a full output under way the session goes on when on_sent() says so.
  if (waiting_ && !(output_was_full && sending_)) make_ready();
  if (waiting_ != paused_) set_paused(waiting_);
}

void Session::make_ready() {
  if (listed_) return;
  listed_ = true;
  worker_.make_ready(*this);
}

void Session::set_paused(bool paused) {
  paused_ = paused;
  if (paused) {
    worker_.loop().pause(*this);
  } else {
    worker_.loop().resume(*this);
  }
}

bool Session::output_full() const noexcept { return output_.size() >= ServeLimits{}.output_bytes_max; }

void Session::send_output() {
  if (sending_ || output_.empty()) return;
  worker_.metrics().session_send.add();
  worker_.metrics().session_send_byte.add(output_.size());
  sending_bytes_ = output_.capacity();
  sending_ = true;
  const bool all_said = state_ == State::kOpen && !waiting_ && !draining_;
  worker_.loop().send(*this, std::move(output_), all_said ? net::SentNotice::kLater : net::SentNotice::kSoon);
}

void Session::on_sent() {
  sending_ = false;
  sending_bytes_ = 0;
  last_active_sec_ = worker_.now().floor_sec;
  send_output();
  if (state_ != State::kOpen) return linger_or_close();
  if (waiting_) make_ready();
}

void Session::on_end(int error) {
  if (error != 0 || state_ == State::kLingering) return close();
  peer_ended_ = true;
  settle();
}

void Session::drain(std::size_t unread_bytes) {
  draining_ = true;
  drain_bytes_ = unread_bytes;
  settle();
}

// Closing a socket that has unread bytes makes the kernel send a reset, which may destroy replies that are still on
// their way. So the peer gets a FIN first and the time to answer it.
void Session::linger_or_close() {
  if (state_ != State::kFinishing || sending_ || !output_.empty()) return;
  if (peer_ended_) return close();
  state_ = State::kLingering;
  last_active_sec_ = worker_.now().floor_sec;
  worker_.loop().shutdown_write(*this);
  if (paused_) set_paused(false);
}

std::uint32_t Session::deadline_sec() const noexcept {
  switch (state_) {
    case State::kOpen: return worker_.idle_timeout_sec() == 0 ? 0 : last_active_sec_ + worker_.idle_timeout_sec();
    case State::kFinishing: return last_active_sec_ + kFinishSec;
    case State::kLingering: return last_active_sec_ + kLingerSec;
    case State::kClosing: break;
  }
  return 0;
}

void Session::expire() {
  if (state_ == State::kOpen) worker_.metrics().session_idle_kick.add();
  close();
}

void Session::close() {
  if (state_ == State::kClosing) return;
  state_ = State::kClosing;
  waiting_ = false;
  input_.reset();
  output_.reset();
  worker_.loop().close(*this);
}

void Session::on_closed() { worker_.bury(*this); }

}  // namespace pelikan::core
