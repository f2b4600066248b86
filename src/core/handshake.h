// One connection that is not established yet: its TLS handshake, on the listener.
//
//               bytes: a step         complete             sent, receive stopped
//   +-> shaking -------> ...  ------> leaving ------------------------------------> on_detached: to a worker
//   +------+ |                           |
//            | failed (alert sent)       | nonsense came behind it: refusing; lost: closing
//            v                           v
//         refusing ---- FIN, answered or deadline ---> closing ---> on_closed: the listener destroys it
//
// A step is cryptography, up to a millisecond of it: on_data() only keeps the bytes, and the listener lets a bounded
// number of handshakes make a step per turn.
// Owner: Listener. Threads: the listener's.
// Limits: reading stops while kInputBytesMax wait for a step (requests may follow the handshake at once); a deadline
//         for the whole, another for taking an alert.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/buffer.h"
#include "core/established.h"
#include "net/loop.h"
#include "net/tls/context.h"
#include "net/tls/session.h"

namespace pelikan::core {

class Listener;

class Handshake final : public net::Stream {
 public:
  static constexpr std::size_t kInputBytesMax = 64 * 1024;

  Handshake(Listener& listener, const net::tls::Context& context, std::unique_ptr<net::tls::Session> tls, int fd,
            std::uint64_t deadline_ns);

  void on_data(std::string_view bytes) override;
  void on_end(int error) override;
  void on_sent() override;
  void on_detached(net::Fd fd) override;
  void on_closed() override;

  // Goes on with what has been received.
  void step();
  // The deadline has passed.
  void expire();
  void close();

  [[nodiscard]] std::uint64_t deadline_ns() const noexcept { return deadline_ns_; }
  [[nodiscard]] bool leaving() const noexcept { return state_ == State::kLeaving; }
  [[nodiscard]] const net::tls::Session& tls() const noexcept { return *tls_; }

  std::size_t index = 0;  // in the listener's list
  bool queued = false;    // for a step

 private:
  enum class State : std::uint8_t { kShaking, kLeaving, kRefusing, kClosing };

  void abandon();
  void leave();
  void decrypt(std::string_view bytes);
  void refuse();
  void flush();

  Listener& listener_;
  std::unique_ptr<net::tls::Session> tls_;
  std::unique_ptr<Established> established_;
  Buffer input_;
  Buffer wire_;
  std::uint64_t deadline_ns_;
  const std::string peer_;  // its address, which the socket forgets when the connection is lost
  State state_ = State::kShaking;
  bool sending_ = false;
  bool detaching_ = false;
  bool ended_ = false;  // the peer has finished writing
  bool lost_ = false;
  bool paused_ = false;
  bool fin_sent_ = false;
  bool heard_ = false;  // the peer has sent something
};

}  // namespace pelikan::core
