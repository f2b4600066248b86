// The io_uring engine: multishot accept and receive, provided buffers, one system call per turn.
//
// Owner, threads: as Loop; the ring is bound to the thread of the first wait().
// A callback only changes what a stream wants; wait() compares that with what is under way in the kernel and submits
// the difference, so all sends, receives and cancellations of a turn travel in one io_uring_enter, and a pause() that
// is taken back in the same turn costs nothing. `State::pending` counts the completions to come: on_closed() and
// on_detached() wait for zero.
//
//   receive: idle --- wants data ---> armed --- end, error, no buffers, cancelled ---> idle
//                                       | not wanted any more: cancel, once at a time
//   send:    idle --- output -------> armed --- whole: on_sent(); part: again; error: on_end(errno) ---> idle
//
// A send with SentNotice::kLater never waits in the kernel (MSG_DONTWAIT) and posts a completion only when something is
// left to do (CQE_SKIP_SUCCESS, MSG_WAITALL); it has succeeded when all completions of its submission are seen and it
// has none.
// Busy polling reads two words that the kernel writes (Ring::ready()) and enters it only to submit and to fetch.
// Accepting is multishot, but one at a time where loops share a socket (LoopOptions::share_accepts): a busy loop
// then holds back one connection at most, the others wake the loops that have time.
// Fairness: streams that got no buffer (ENOBUFS) without having received anything are armed again before all others.
// Limits:  the rings' sizes; a turn handles at most as many completions as the completion ring holds.
// Failure: a kernel that takes no submissions for want of memory is asked again in the next turn.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "net/busy_poll.h"
#include "net/departures.h"
#include "net/loop.h"
#include "net/uring_ring.h"
#include "net/wakeup.h"

namespace pelikan::net {

class UringLoop final : public Loop {
 public:
  explicit UringLoop(const LoopOptions& options);  // throws std::runtime_error
  ~UringLoop() override;

  void attach(Stream& stream, Fd fd) override;
  void send(Stream& stream, Buffer&& output, SentNotice notice) override;
  void tell_soon(Stream& stream) override;
  void pause(Stream& stream) override;
  void resume(Stream& stream) override;
  void shutdown_write(Stream& stream) override;
  void close(Stream& stream) override;
  void detach(Stream& stream) override;

  void listen(Acceptor& acceptor, int listening_fd) override;
  void pause_accept() override;
  void resume_accept() override;

  void wait(int timeout_ms) override;
  std::size_t dispatch() override;
  void wake() noexcept override { wakeup_.signal(); }

  [[nodiscard]] std::string_view engine_name() const noexcept override { return "io_uring"; }
  [[nodiscard]] const PollCounts& poll_counts() const noexcept override { return poll_.counts(); }

 private:
  struct alignas(8) Port {
    Acceptor& acceptor;
    int fd;
    bool armed = false;
    bool cancel = false;
  };

  void queue(Stream& stream);

  bool polling_ends_wait(int& timeout_ms);

  // What is wanted against what is under way; false when the kernel takes no more submissions now.
  void submit_wanted();
  bool arrange_wakeup();
  bool arrange_ports();
  void arrange_all(std::vector<Stream*>& streams);
  bool arrange(Stream& stream);
  bool arrange_close(Stream& stream);
  bool arm_receive(Stream& stream);
  bool cancel_receive(Stream& stream);
  bool arm_send(Stream& stream);
  bool cancel_send(Stream& stream);

  void handle(const io_uring_cqe& completion);
  void handle_receive(Stream& stream, const io_uring_cqe& completion);
  void handle_receive_stop(Stream& stream, int result);
  void handle_send(Stream& stream, int result);
  void handle_accept(Port& port, const io_uring_cqe& completion);
  void finish_send(Stream& stream);
  static bool unnoticed(const Stream& stream) { return stream.state_.send_armed && stream.state_.send_at_once; }
  void finish_unnoticed_sends();
  void lose(Stream& stream, int error);

  Wakeup wakeup_;
  BusyPoll poll_;
  std::uint64_t wakeup_value_ = 0;  // written by the kernel
  bool wakeup_armed_ = false;
  bool enabled_ = false;
  Ring ring_;
  std::uint32_t turn_ = 0;
  std::size_t received_ = 0;        // streams that got data in this turn
  std::vector<Stream*> queued_;     // what they want may differ from what is under way
  std::vector<Stream*> starved_;    // the same, and they come first
  std::vector<Stream*> unnoticed_;  // have sends that complete without a completion
  Departures departures_;
  std::vector<std::unique_ptr<Port>> ports_;
  bool ports_changed_ = false;
  const bool share_accepts_;
  bool accepting_ = true;
};

}  // namespace pelikan::net
