// The reference engine: level-triggered epoll. Used where io_uring is forbidden, and by the sanitizers that cannot see
// it.
//
// Owner, threads: as Loop. One turn: epoll_wait, one recv per readable stream into one buffer of the loop, one send per
// stream with output; so a request costs these three system calls, and fewer when many are ready at once.
// Busy polling is an epoll_wait that does not wait per look.
// Interest in events is edited lazily: an EPOLLIN or EPOLLOUT that is no longer wanted is removed when it next fires.
// Limits:  kAcceptsPerTurn per listening socket, kSendRounds buffers per stream and turn; what is left waits for the
//          next turn.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <memory>
#include <vector>

#include "net/busy_poll.h"
#include "net/departures.h"
#include "net/loop.h"
#include "net/wakeup.h"

namespace pelikan::net {

class EpollLoop final : public Loop {
 public:
  explicit EpollLoop(const LoopOptions& options);  // throws std::runtime_error

  void attach(Stream& stream, Fd fd) override;
  void send(Stream& stream, Buffer&& output, SentNotice notice) override;
  void tell_soon(Stream& /*stream: always told at once*/) override {}
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

  [[nodiscard]] std::string_view engine_name() const noexcept override { return "epoll"; }
  [[nodiscard]] const PollCounts& poll_counts() const noexcept override { return poll_.counts(); }

 private:
  static constexpr std::size_t kEventsPerTurn = 512;
  static constexpr int kAcceptsPerTurn = 64;
  static constexpr int kSendRounds = 8;

  struct Port {
    Acceptor& acceptor;
    int fd;
  };

  // Fetches events; true if there are any.
  bool look(int timeout_ms);
  void register_interest(Stream& stream, std::uint32_t events);
  void unregister(Stream& stream);
  void queue(Stream& stream);
  void handle(Stream& stream, std::uint32_t events);
  void receive(Stream& stream);
  void work_on(Stream& stream);
  void try_send(Stream& stream);
  void lose(Stream& stream, int error);
  void work_on_queued();
  void leave_when_idle(Stream& stream);
  [[nodiscard]] bool watch(Port& port);
  void accept_batch(Port& port);
  void stop_accepting();

  Wakeup wakeup_;
  BusyPoll poll_;
  Fd epoll_;
  std::array<epoll_event, kEventsPerTurn> events_;
  std::size_t event_count_ = 0;
  std::size_t receive_bytes_;
  std::unique_ptr<char[]> receive_buffer_;
  std::size_t received_ = 0;     // streams that got data in this turn
  std::vector<Stream*> queued_;  // have something to send or an error to be told
  std::vector<Stream*> batch_;   // the part of queued_ that is being worked on
  Departures departures_;
  std::vector<std::unique_ptr<Port>> ports_;
  bool accepting_ = true;
  int accept_error_ = 0;  // of resume_accept(), to be told by the next dispatch()
};

}  // namespace pelikan::net
