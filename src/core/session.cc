#include "core/session.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "core/worker.h"
#include "net/socket.h"

namespace pelikan::core {
namespace {

constexpr ServeLimits kLimits;
constexpr ServeLimits kBatchLimits{.requests_max = 256};  // bounds what one session keeps the storage thread busy with
constexpr char kTlsHandshake = 0x16;                      // the first byte of a TLS client; no protocol of ours has it

}  // namespace

Session::Session(Worker& worker, SessionId id, int fd, Established&& established)
    : worker_(worker),
      conversation_(established.conversation != nullptr ? std::move(established.conversation)
                                                        : worker.service().start()),
      tls_(std::move(established.tls)),
      input_(std::move(established.input)),
      output_(worker.buffers()),
      wire_(worker.buffers()),
      discard_bytes_(established.discard_bytes),
      wanted_bytes_(established.wanted_bytes),
      trust_(established.trust),
      id_(id),
      fd_(fd),
      last_active_sec_(worker.now().floor_sec),
      peer_ended_(established.peer_ended),
      heard_(established.begun) {
  input_.join(worker.buffers());
  worker.metrics().session_recv.add(established.receives);
  worker.metrics().session_recv_byte.add(established.receive_bytes);
}

Session::~Session() = default;

// --- receiving ------------------------------------------------------------------------------------------------------

void Session::begin() {
  if (input_.empty() && !peer_ended_) return;
  waiting_ = true;
  make_ready();
}

void Session::on_data(std::string_view bytes) {
  worker_.metrics().session_recv.add();
  worker_.metrics().session_recv_byte.add(bytes.size());
  drain_bytes_ -= std::min<std::uint64_t>(drain_bytes_, bytes.size());
  if (state_ != State::kOpen) return;  // what is discarded does not put off the end
  last_active_sec_ = worker_.now().floor_sec;
  if (tls_ != nullptr) {
    decrypt(bytes);
  } else if (!std::exchange(heard_, true) && bytes.front() == kTlsHandshake && input_.empty()) {
    worker_.tls_on_plain_port(fd_);
    state_ = State::kFinishing;
  } else {
    take(bytes);
  }
  if (worker_.has_storage_thread()) serve_input();
  settle();
  worker_.keep_buffers_bounded();
}

void Session::decrypt(std::string_view bytes) {
  tls_idle_ = false;
  while (state_ == State::kOpen && !peer_ended_) {
    std::string_view plain;
    switch (tls_->receive(bytes, worker_.scratch(), plain, wire_)) {
      case net::tls::Session::Progress::kMore:
        if (plain.empty()) {
          if (wire_.size() > kTlsChatterMax) close();
          return;
        }
        take(plain);
        break;
      case net::tls::Session::Progress::kDone: peer_ended_ = true; break;
      case net::tls::Session::Progress::kFailed: return fail_tls();
    }
  }
}

// The alert is sent; replies are not, nobody could trust them.
void Session::fail_tls() {
  worker_.tls_failures().report(tls_->failure(), net::peer_name(fd_));
  tls_finished_ = true;
  output_.reset();
  state_ = State::kFinishing;
}

void Session::take(std::string_view bytes) {
  if (discard_bytes_ > 0) {
    const std::size_t count = std::min<std::uint64_t>(discard_bytes_, bytes.size());
    discard_bytes_ -= count;
    bytes.remove_prefix(count);
    if (bytes.empty()) return;
  }
  if (moving_ || waiting_ || worker_.has_storage_thread() || !input_.empty()) {
    input_.append(bytes);
    if (!worker_.has_storage_thread()) serve_input();
  } else {
    bytes.remove_prefix(serve(bytes));
    if (state_ == State::kOpen) input_.append(bytes);
  }
}

void Session::serve_input() {
  if (state_ != State::kOpen || moving_ || waiting_ || away_) return;
  if (input_.empty() || input_.size() < wanted_bytes_) return;
  if (worker_.has_storage_thread() && wants_to_move()) return;  // or a busy session would never be quiet
  if (worker_.has_storage_thread()) {
    submit();
  } else {
    input_.consume(serve(input_.view()));
  }
}

void Session::serve_waiting() {
  listed_ = false;
  if (state_ != State::kOpen || !waiting_ || moving_) return;
  waiting_ = false;
  if (batch_ != nullptr && !batch_->done()) {
    submit();
  } else {
    serve_input();
  }
  settle();
}

// --- serving --------------------------------------------------------------------------------------------------------

bool Session::must_wait() noexcept {
  waiting_ = output_full() || worker_.buffers().over_limit();  // the limit: the turn's end sheds, then this goes on
  return waiting_;
}

std::size_t Session::serve(std::string_view bytes) {
  if (must_wait()) return 0;
  const ServeResult result = worker_.service().serve(*conversation_, bytes, output_, kLimits);
  wanted_bytes_ = result.wanted;
  activity_ += result.requests;
  worker_.count_requests(result.requests);
  switch (result.status) {
    case ServeStatus::kNeedMore: break;
    case ServeStatus::kLimit: waiting_ = true; break;
    case ServeStatus::kInvalid: finish_invalid(); return bytes.size();
    case ServeStatus::kClose: state_ = State::kFinishing; return bytes.size();
  }
  const std::size_t used = std::min<std::uint64_t>(result.consumed, bytes.size());
  discard_bytes_ = result.consumed - used;
  return used;
}

void Session::finish_invalid() {
  worker_.metrics().session_invalid.add();
  state_ = State::kFinishing;
}

// To the storage thread: what is left of the last batch, or all whole requests that are there.
void Session::submit() {
  if (must_wait()) return;
  if (batch_ == nullptr) batch_ = std::make_unique<Batch>(worker_.buffers());
  if (batch_->done() && !collect_batch()) return;
  batch_->session = id_;
  batch_->output = std::move(output_);
  away_ = true;
  away_bytes_ = batch_->held_bytes();
  worker_.send_to_storage(std::move(batch_));
}

// The requests view input_, so the batch takes it whole; the incomplete tail is copied back.
bool Session::collect_batch() {
  const std::string_view bytes = input_.view();
  const ServeResult result = worker_.service().collect(*conversation_, bytes, batch_->requests, kBatchLimits);
  wanted_bytes_ = result.wanted;
  const std::size_t used = std::min<std::uint64_t>(result.consumed, bytes.size());
  discard_bytes_ = result.consumed - used;
  invalid_after_ = result.status == ServeStatus::kInvalid;
  if (result.requests == 0) {
    if (invalid_after_) finish_invalid();
    return false;
  }
  Buffer tail(worker_.buffers());
  tail.append(bytes.substr(used));
  batch_->input = std::exchange(input_, std::move(tail));
  return true;
}

void Session::on_batch(std::unique_ptr<Batch> batch) {
  away_ = false;
  away_bytes_ = 0;
  batch_ = std::move(batch);
  const std::size_t executed = std::exchange(batch_->executed, 0);
  activity_ += executed;
  worker_.count_requests(executed);
  if (state_ == State::kOpen) {
    output_ = std::move(batch_->output);
    if (batch_->outcome == ServeStatus::kClose) {
      state_ = State::kFinishing;
    } else if (!batch_->done()) {
      waiting_ = true;
    } else if (invalid_after_) {
      finish_invalid();
    }
  } else {
    batch_->output.reset();
  }
  if (state_ != State::kOpen || batch_->done()) batch_->clear();
  serve_input();
  settle();
}

// --- sending and the state of things --------------------------------------------------------------------------------

void Session::settle() {
  if (state_ == State::kClosing) return;
  if (moving_) return state_ == State::kOpen ? send_output() : close();
  if (state_ == State::kOpen && !waiting_ && !away_ && (peer_ended_ || (draining_ && drain_bytes_ == 0))) {
    state_ = State::kFinishing;
  }
  if (state_ != State::kOpen || input_.empty()) input_.reset();
  const bool output_was_full = output_full();
  send_output();
  if (state_ == State::kClosing) return;
  // What was sent in the belief that it was the last word was not.
  if (sending_ && (!output_.empty() || waiting_ || draining_ || state_ != State::kOpen))
    worker_.loop().tell_soon(*this);
  if (state_ != State::kOpen) return linger_or_close();
  if (worker_.connections() > kTlsBuffersKept) release_tls_buffers();
  // With a full output under way the session goes on when on_sent() says so.
  if (waiting_ && !(output_was_full && sending_)) make_ready();
  const bool pause = waiting_ || (away_ && input_.size() >= kAwayInputMax);
  if (pause != paused_) set_paused(pause);
  try_move();
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

bool Session::output_full() const noexcept { return output_.size() >= kLimits.output_bytes_max; }

void Session::send_output() {
  if (sending_) return;
  if (tls_ != nullptr && !output_.empty()) {
    tls_idle_ = false;
    if (!tls_->send(output_.view(), wire_)) {
      worker_.tls_failures().report(tls_->failure(), net::peer_name(fd_));
      return close();
    }
    output_.reset();
  }
  Buffer& out = tls_ != nullptr ? wire_ : output_;
  if (out.empty()) return;
  worker_.metrics().session_send.add();
  worker_.metrics().session_send_byte.add(out.size());
  sending_bytes_ = out.capacity();
  sending_ = true;
  const bool all_said = state_ == State::kOpen && !waiting_ && !draining_;
  worker_.loop().send(*this, std::move(out), all_said ? net::SentNotice::kLater : net::SentNotice::kSoon);
}

void Session::on_sent() {
  sending_ = false;
  sending_bytes_ = 0;
  last_active_sec_ = worker_.now().floor_sec;
  send_output();
  if (state_ != State::kOpen) return linger_or_close();
  if (worker_.connections() > kTlsBuffersKept) release_tls_buffers();
  if (waiting_ && !moving_) make_ready();
}

void Session::on_end(int error) {
  if (error != 0 || state_ == State::kLingering) return close();
  if (moving_) return;  // the next loop will tell again
  peer_ended_ = true;
  serve_input();  // what stayed there because the session wanted to move
  settle();
}

void Session::drain(std::size_t unread_bytes) {
  draining_ = true;
  drain_bytes_ = unread_bytes;
  serve_input();
  settle();
}

// Closing a socket that has unread bytes makes the kernel send a reset, which may destroy replies that are still on
// their way. So the peer gets a FIN first and the time to answer it.
void Session::linger_or_close() {
  if (state_ != State::kFinishing || sending_ || !output_.empty()) return;
  if (tls_ != nullptr && !std::exchange(tls_finished_, true)) tls_->finish(wire_);
  send_output();
  if (sending_ || state_ == State::kClosing) return;
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

void Session::look_at_clock() {
  const std::uint32_t now_sec = worker_.now().floor_sec;
  const std::uint32_t deadline = deadline_sec();
  if (deadline != 0 && now_sec > deadline && !away_) {
    if (state_ == State::kOpen) worker_.metrics().session_idle_kick.add();
    return close();
  }
  if (state_ == State::kOpen && now_sec >= last_active_sec_ + kTlsIdleSec) release_tls_buffers();
}

// They are 34 KB. What malloc gets back late it can seldom give back to the system: so with many sessions each turn
// ends with this, which costs it some 0.2 us; with few of them they are kept until the session falls idle.
void Session::release_tls_buffers() noexcept {
  if (tls_ != nullptr && !tls_idle_) tls_idle_ = tls_->release_buffers();
}

void Session::close() {
  if (state_ == State::kClosing) return;
  state_ = State::kClosing;
  waiting_ = false;
  input_.reset();
  output_.reset();
  wire_.reset();
  if (batch_ != nullptr) batch_->clear();
  {
    const std::scoped_lock lock(worker_.table_mutex());
    closing_ = true;  // from here on nobody else may look at the descriptor
  }
  worker_.loop().close(*this);
}

void Session::on_closed() { worker_.bury(*this); }

bool Session::recheck(const net::tls::Context& context) {
  if (tls_ == nullptr || state_ == State::kClosing || trust_ == context.trust_fingerprint()) return false;
  trust_ = context.trust_fingerprint();
  net::tls::Failure why;
  if (!tls_->still_admitted(context, why)) {
    worker_.no_longer_admitted(why, fd_);
    close();
  }
  return true;
}

ConnectionView Session::view(std::uint32_t now_sec) const {
  const std::uint32_t active_sec = last_active_sec_;
  ConnectionView view{.fd = fd_,
                      .idle_sec = now_sec > active_sec ? now_sec - active_sec : 0,
                      .waiting = waiting_,
                      .tls_version = {},
                      .tls_peer = {}};
  if (tls_ != nullptr) {
    view.tls_version = tls_->version();
    view.tls_peer = tls_->peer();
  }
  return view;
}

// --- moving to another worker ---------------------------------------------------------------------------------------

void Session::move_to(Worker& destination) {
  destination_ = &destination;
  try_move();
}

bool Session::wants_to_move() const noexcept { return destination_ != nullptr && !draining_ && !peer_ended_; }

// A quiet point: nothing of it is with the storage thread. What waits in input_ goes along.
void Session::try_move() {
  if (!wants_to_move() || moving_ || away_ || state_ != State::kOpen) return;
  if (batch_ != nullptr && !batch_->done()) return;
  moving_ = true;
  worker_.loop().detach(*this);
}

void Session::on_detached(net::Fd fd) { worker_.pass_on(*this, std::move(fd)); }

Established Session::take_state() {
  CHECK(output_.empty() && wire_.empty() && !away_);
  input_.leave_pool();
  Established state;
  state.tls = std::move(tls_);
  state.conversation = std::move(conversation_);
  state.input = std::move(input_);
  state.trust = trust_;
  state.discard_bytes = discard_bytes_;
  state.wanted_bytes = wanted_bytes_;
  state.peer_ended = peer_ended_;
  state.begun = true;
  return state;
}

}  // namespace pelikan::core
