#include "tools/bench/channel.h"

#include <cstring>
#include <utility>

#include "base/check.h"

namespace pelikan::tools::bench {

using net::tls::Session;

void Channel::open(net::Fd fd, std::unique_ptr<Session> session) {
  CHECK(closing_ && !sending_);
  session_ = std::move(session);
  established_ = session_ == nullptr;
  closing_ = failed_ = heard_ = finishing_ = finished_ = false;
  output_.reset();
  wire_.reset();
  shared_.loop.attach(*this, std::move(fd));
  if (session_ == nullptr) return;
  std::string_view nothing;
  static_cast<void>(shake_hands(nothing));
}

void Channel::flush() {
  if (closing_ || failed_ || !established_) return;
  if (sending_) return shared_.loop.tell_soon(*this);
  const bool says_finished = finishing_ && !finished_;
  if (session_ != nullptr) {
    if (!output_.empty() && !session_->send(output_.view(), wire_)) return fail_tls();
    output_.reset();
    if (says_finished) {
      session_->finish(wire_);
      finished_ = true;
    }
  }
  Buffer& bytes = session_ != nullptr ? wire_ : output_;
  if (!bytes.empty()) return send(std::move(bytes), finishing_ ? net::SentNotice::kSoon : net::SentNotice::kLater);
  if (says_finished) {
    shared_.loop.shutdown_write(*this);
    finished_ = true;
  }
}

void Channel::finish() {
  finishing_ = true;
  flush();
}

void Channel::close() {
  if (std::exchange(closing_, true)) return;
  sending_ = false;
  shared_.loop.close(*this);
}

void Channel::fail(Trouble trouble, const std::string& what) {
  if (closing_ || failed_) return;
  close();
  on_failed(trouble, what);
}

void Channel::fail_tls() {
  if (closing_ || failed_) return;
  const net::tls::Failure& failure = session_->failure();
  std::string what = (established_ ? "TLS: " : "TLS handshake: ") + failure.text;
  if (failure.cause == net::tls::Cause::kPlainText) what += "; the target speaks plain text: leave out --tls";
  failed_ = true;
  if (!sending_ && !wire_.empty())
    send(std::move(wire_), net::SentNotice::kSoon);  // the alert
  else
    close();
  // With TLS 1.3 a target judges our certificate when the handshake is complete for us.
  on_failed(heard_ ? Trouble::kLost : Trouble::kHandshake, what);
}

void Channel::await_connect() { send(Buffer(shared_.pool), net::SentNotice::kSoon); }

void Channel::send(Buffer&& bytes, net::SentNotice notice) {
  sending_ = true;
  shared_.loop.send(*this, std::move(bytes), notice);
}

void Channel::on_sent() {
  sending_ = false;
  if (closing_) return;
  if (failed_) return close();
  if (!established_) {
    if (!wire_.empty()) send(std::move(wire_), net::SentNotice::kLater);
    return;
  }
  flush();
  if (!sending_) on_flushed();
}

void Channel::on_data(std::string_view bytes) {
  if (closing_ || failed_) return;
  if (session_ == nullptr) return on_plain(bytes);
  if (!established_) {
    if (!shake_hands(bytes)) return;
    established_ = true;
    on_established();
    flush();  // what completes the handshake, together with what on_established() has added
  }
  decrypt(bytes);
}

// True: complete, and `bytes` is what came after it.
bool Channel::shake_hands(std::string_view& bytes) {
  const Session::Progress progress = session_->handshake(bytes, wire_);
  if (progress == Session::Progress::kFailed) {
    fail_tls();
    return false;
  }
  if (progress == Session::Progress::kDone) return true;
  if (!wire_.empty() && !sending_) send(std::move(wire_), net::SentNotice::kLater);
  return false;
}

void Channel::decrypt(std::string_view bytes) {
  while (!closing_ && !failed_) {
    std::string_view plain;
    const Session::Progress progress = session_->receive(bytes, shared_.scratch, plain, wire_);
    if (progress == Session::Progress::kFailed) return fail_tls();
    if (progress == Session::Progress::kDone) return on_peer_end(0);
    if (plain.empty()) return;
    heard_ = true;
    on_plain(plain);
  }
}

void Channel::on_end(int error) {
  if (closing_) return;
  if (failed_) return close();
  if (established_) return on_peer_end(error);
  fail(Trouble::kHandshake,
       "TLS handshake: " + (error == 0 ? "the target closed the connection" : std::string(std::strerror(error))) +
           "; if it speaks plain text, leave out --tls");
}

}  // namespace pelikan::tools::bench
