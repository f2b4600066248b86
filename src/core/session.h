// One client connection on its worker: bytes in, requests served, replies out, with bounds on everything it may hold.
//
//            on_data                 quit, nonsense,          output sent
//   +-> open ------> serve, send      drain done, peer end
//   +------------------+ |  ------------------------> finishing ------------> lingering (FIN sent, input discarded)
//                        |                                |  peer has ended         | peer ends, or a deadline passed
//                        | lost, idle, memory             v                         v
//                        +--------------------------> closing <---------------------+ -> on_closed: worker destroys it
//
// There is no edge back to open: a session that stopped serving never serves again.
//
// Received bytes are parsed where the loop put them; only an incomplete tail, or what may not be served yet, is copied
// into input_. While requests wait (the fairness bound, or replies the client does not take) the session does not read.
// Owner: Worker. Threads: the worker's only.
#pragma once

#include <cstdint>
#include <memory>

#include "base/buffer.h"
#include "core/service.h"
#include "net/loop.h"

namespace pelikan::core {

class Worker;

// Names a session for as long as it lives: a slot is used again, a generation is not.
struct SessionId {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;
};

class Session final : public net::Stream {
 public:
  static constexpr std::uint32_t kLingerSec = 2;   // for the peer to answer our FIN
  static constexpr std::uint32_t kFinishSec = 60;  // for the peer to take each whole buffer of its last replies

  Session(Worker& worker, SessionId id, std::unique_ptr<Conversation> conversation, int fd);

  void on_data(std::string_view bytes) override;
  void on_end(int error) override;
  void on_sent() override;
  void on_closed() override;

  // Serves what waits in input_, at most one turn's worth.
  void serve_waiting();
  // Answers what the kernel has received by now, then finishes.
  void drain(std::size_t unread_bytes);
  // The worker's sweep found deadline_sec() passed.
  void expire();
  void close();

  [[nodiscard]] SessionId id() const noexcept { return id_; }
  [[nodiscard]] int fd() const noexcept { return fd_; }
  [[nodiscard]] std::uint32_t last_active_sec() const noexcept { return last_active_sec_; }
  [[nodiscard]] bool waiting() const noexcept { return waiting_; }
  [[nodiscard]] bool closing() const noexcept { return state_ == State::kClosing; }
  // Memory in input, output and the send under way.
  [[nodiscard]] std::size_t held_bytes() const noexcept {
    return input_.capacity() + output_.capacity() + sending_bytes_;
  }
  // 0: none.
  [[nodiscard]] std::uint32_t deadline_sec() const noexcept;

 private:
  enum class State : std::uint8_t { kOpen, kFinishing, kLingering, kClosing };

  // Serves the front of `bytes`; returns how many are used up.
  std::size_t serve(std::string_view bytes);
  void settle();  // after serving: send, wait, read on, or finish
  void send_output();
  void make_ready();
  void set_paused(bool paused);
  void linger_or_close();
  [[nodiscard]] bool output_full() const noexcept;

  Worker& worker_;
  std::unique_ptr<Conversation> conversation_;
  Buffer input_;
  Buffer output_;
  std::uint64_t discard_bytes_ = 0;  // to be swallowed as they arrive
  std::uint64_t wanted_bytes_ = 0;   // input_ makes no whole request before it has so many
  std::uint64_t drain_bytes_ = 0;    // while draining: still to come from the kernel
  std::size_t sending_bytes_ = 0;
  const SessionId id_;
  const int fd_;
  std::uint32_t last_active_sec_;
  State state_ = State::kOpen;
  bool sending_ = false;
  bool paused_ = false;
  bool waiting_ =
      false;  // whole requests may be in input_; the session is in the worker's ready list or waits for on_sent()
  bool listed_ = false;  // in the worker's ready list
  bool peer_ended_ = false;
  bool draining_ = false;
};

}  // namespace pelikan::core
