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
// Received bytes are decrypted if need be and parsed where the loop put them; only an incomplete tail, or what may not
// be served yet, is copied into input_. While requests wait (the fairness bound, or replies the client does not take)
// the session does not read.
// With a storage thread the requests go there as a batch, one at a time; meanwhile (away_) input_ takes what arrives.
// To another worker it goes by leaving the loop (moving_): what arrives on the way stays in input_, unparsed.
// Owner:   Worker. Threads: the worker's only, but for view() and closing() under the worker's table mutex.
#pragma once

#include <cstdint>
#include <memory>

#include "base/buffer.h"
#include "base/published.h"
#include "core/batch.h"
#include "core/established.h"
#include "core/service.h"
#include "core/session_id.h"
#include "net/loop.h"

namespace pelikan::core {

class Worker;
struct ConnectionView;

class Session final : public net::Stream {
 public:
  static constexpr std::uint32_t kLingerSec = 2;           // for the peer to answer our FIN
  static constexpr std::uint32_t kFinishSec = 60;          // for the peer to take each whole buffer of its last replies
  static constexpr std::uint32_t kTlsIdleSec = 5;          // then the TLS record buffers are given back
  static constexpr std::size_t kTlsBuffersKept = 128;      // with more sessions on the worker, after each turn
  static constexpr std::size_t kAwayInputMax = 64 * 1024;  // received while a batch is away, before reading stops
  static constexpr std::size_t kTlsChatterMax = 64 * 1024;  // alerts and key updates that the peer makes us send

  // Begins without the descriptor, which is the loop's.
  Session(Worker& worker, SessionId id, int fd, Established&& established);
  ~Session() override;

  void on_data(std::string_view bytes) override;
  void on_end(int error) override;
  void on_sent() override;
  void on_closed() override;
  void on_detached(net::Fd fd) override;

  // Once it is attached: what came with it is served in this turn.
  void begin();
  // Serves what waits in input_, at most one turn's worth.
  void serve_waiting();
  // Its batch has come back.
  void on_batch(std::unique_ptr<Batch> batch);
  // Answers what the kernel has received by now, then finishes.
  void drain(std::size_t unread_bytes);
  // Once a second: closes what is past its deadline, gives back what an idle session does not need.
  void look_at_clock();
  void close();
  // Closes it when `context` would not let it in. True if that had to be verified: it came in under another trust.
  bool recheck(const net::tls::Context& context);

  // Requests since the last call.
  [[nodiscard]] std::uint64_t take_activity() noexcept { return std::exchange(activity_, 0); }
  [[nodiscard]] bool may_move() const noexcept {
    return state_ == State::kOpen && !peer_ended_ && destination_ == nullptr;
  }
  // Leaves for that worker at the next quiet point.
  void move_to(Worker& destination);
  [[nodiscard]] Worker* destination() const noexcept { return destination_; }
  // All that makes it, for another session to go on with. REQUIRES: on_detached() was called.
  [[nodiscard]] Established take_state();

  [[nodiscard]] SessionId id() const noexcept { return id_; }
  [[nodiscard]] int fd() const noexcept { return fd_; }
  [[nodiscard]] bool closing() const noexcept { return closing_; }
  [[nodiscard]] ConnectionView view(std::uint32_t now_sec) const;
  // Memory in input, output, the batch (at home or away) and the send under way.
  [[nodiscard]] std::size_t held_bytes() const noexcept {
    const std::size_t in_batch = batch_ != nullptr ? batch_->held_bytes() : away_bytes_;
    return input_.capacity() + output_.capacity() + wire_.capacity() + in_batch + sending_bytes_;
  }

 private:
  enum class State : std::uint8_t { kOpen, kFinishing, kLingering, kClosing };

  void decrypt(std::string_view bytes);
  void take(std::string_view bytes);
  // Serves the front of `bytes`; returns how many are used up.
  std::size_t serve(std::string_view bytes);
  void serve_input();
  void submit();
  [[nodiscard]] bool collect_batch();
  [[nodiscard]] bool must_wait() noexcept;
  void finish_invalid();
  void settle();  // after serving: send, wait, read on, or finish
  void send_output();
  void make_ready();
  void set_paused(bool paused);
  void linger_or_close();
  void fail_tls();
  [[nodiscard]] bool wants_to_move() const noexcept;
  void try_move();
  [[nodiscard]] bool output_full() const noexcept;
  void release_tls_buffers() noexcept;
  [[nodiscard]] std::uint32_t deadline_sec() const noexcept;

  Worker& worker_;
  std::unique_ptr<Conversation> conversation_;
  std::unique_ptr<net::tls::Session> tls_;  // null: plain text
  std::unique_ptr<Batch> batch_;            // null: away, or not needed yet
  Worker* destination_ = nullptr;           // it is to move there
  Buffer input_;                            // plain text
  Buffer output_;                           // plain text
  Buffer wire_;                             // TLS records to be sent
  std::uint64_t discard_bytes_ = 0;         // to be swallowed as they arrive
  std::uint64_t wanted_bytes_ = 0;          // input_ makes no whole request before it has so many
  std::uint64_t drain_bytes_ = 0;           // while draining: still to come from the kernel
  std::uint64_t activity_ = 0;
  std::uint64_t trust_;         // TLS: the trust_fingerprint() of what verified it last
  std::size_t away_bytes_ = 0;  // what the batch held when it left
  std::size_t sending_bytes_ = 0;
  const SessionId id_;
  const int fd_;
  Published<std::uint32_t> last_active_sec_;
  // Whole requests may be in input_ or in the batch; the session is in the worker's ready list or waits for on_sent().
  Published<bool> waiting_ = false;
  Published<bool> closing_ = false;
  State state_ = State::kOpen;
  bool sending_ = false;
  bool paused_ = false;
  bool listed_ = false;  // in the worker's ready list
  bool peer_ended_ = false;
  bool draining_ = false;
  bool away_ = false;           // its batch is with the storage thread
  bool moving_ = false;         // it is leaving the loop
  bool invalid_after_ = false;  // behind the batch come bytes that make no sense
  bool tls_finished_ = false;   // close_notify was said, or TLS has failed
  bool tls_idle_ = false;       // its record buffers were given back
  bool heard_ = false;          // the first bytes were seen
};

}  // namespace pelikan::core
