// One event loop per thread, in completion style: the loop receives and sends, and tells its streams what has happened.
// Two engines stand behind it, io_uring and epoll; what a Stream sees is the same to the byte.
//
// Owner:   a listener or a worker. Threads: everything on the owner's thread, except wake() and the read-only getters.
//          Construction, attach() and listen() may happen on another thread before the first wait() (io_uring binds the
//          ring to the thread of the first wait()). A stream that was detached may be attached to a loop of another
//          thread: whatever carries it there also carries what the old owner wrote.
// A turn:  wait() sends nothing by itself in epoll and submits in io_uring; dispatch() makes all callbacks. The caller
//          reads the clock between the two. No callback is ever made from inside attach(), send(), pause(), resume(),
//          detach() or close().
// Limits:  an epoll turn receives once per stream; an io_uring turn at most what `receive_buffers` hold.
// Failure: constructors throw. Later, all trouble of a connection is an on_end(errno), of accepting an
//          on_accept_error(errno).
//
// Life of a stream:
//
//   attach() -> on_data()* -> on_end(0: peer finished writing | errno: connection lost) -> close() -> on_closed()
//                  ^ pause() / resume()                                                     ^ may be called any time
//   send() -> on_sent()       at most one buffer under way; what was under way when close() is called is dropped
//   detach() -> on_data()*, on_end(), on_sent() of what is under way -> on_detached(descriptor)
//
// on_end(0) may be followed by one on_end(errno), when what is sent afterwards cannot be delivered. A connection that
// is lost while its stream is paused and sends nothing is noticed by the next resume() or send().
// After close() nothing but on_closed() is called, exactly once, from a later dispatch(); only then may the Stream be
// destroyed. A Loop may be destroyed before its streams: they get no more callbacks.
//
// detach() takes a stream out of its loop with its connection open. No new receive is started, whatever pause() and
// resume() said or say; what the kernel has taken from the socket for us still comes as on_data(), or as on_end(). A
// send under way is finished, as is one that is begun before on_detached(). Then on_detached() is called, exactly once,
// from a later dispatch(); from that call on the loop has forgotten the stream, which may be destroyed or attached
// again, to any loop, which receives what follows. on_end(0) does not stop a detach (the next loop tells it again), but
// a lost connection is not detached: after on_end(errno) it can only be closed. close() before on_detached() wins.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/buffer.h"
#include "net/fd.h"

namespace pelikan::net {

class Stream {
 public:
  virtual ~Stream() = default;

  // Bytes received, in order; valid during the call only. After pause() what was under way may still arrive (bounded).
  virtual void on_data(std::string_view bytes) = 0;
  // Nothing more will be received. 0: the peer finished writing, sending still works. Else an errno: the connection is
  // lost.
  virtual void on_end(int error) = 0;
  // The buffer passed to send() has been handed to the kernel whole.
  virtual void on_sent() = 0;
  // The descriptor is closed and the loop has forgotten the stream: its owner may destroy it.
  virtual void on_closed() = 0;
  // The loop has forgotten the stream; the connection is its owner's. For who calls detach(), else a CHECK failure.
  virtual void on_detached(Fd fd);

 private:
  friend class Departures;
  friend class EpollLoop;
  friend class UringLoop;
  // What an engine keeps per stream, so that a connection needs no second allocation.
  struct State {
    Fd fd;
    int error = 0;                 // epoll: found in attach(), to be told by the next dispatch()
    std::optional<Buffer> output;  // passed to send(), not yet taken whole by the kernel
    bool receiving = false;        // the owner wants data
    bool ended = false;            // on_end() was called
    bool lost = false;             // ... with an errno
    bool closing = false;          // close() was called
    bool detaching = false;        // detach() was called
    std::uint8_t departures = 0;   // its entries in the loop's Departures
    bool queued = false;           // in the loop's list of streams that want something done

    // epoll
    bool registered = false;     // known to the epoll set
    std::uint32_t interest = 0;  // the events it is registered for

    // io_uring: what is under way in the kernel
    bool receive_armed = false;   // a multishot receive
    bool receive_cancel = false;  // its cancellation
    bool send_armed = false;      // a send
    bool send_cancel = false;     // its cancellation
    bool send_at_once = false;    // the send must not wait in the kernel: see SentNotice::kLater
    bool fed = false;             // got data since the receive was armed
    std::uint8_t pending = 0;     // completions still to come
    std::uint32_t turn = 0;       // the last turn that brought data
  } state_;
};

// A listening socket's owner.
class Acceptor {
 public:
  virtual ~Acceptor() = default;
  // After pause_accept() connections that were on their way to this loop may still come.
  virtual void on_accept(Fd fd) = 0;
  // accept failed with EMFILE, ENFILE, ENOBUFS, ENOMEM ...: the loop has stopped accepting until resume_accept().
  virtual void on_accept_error(int error) = 0;
};

enum class Engine : std::uint8_t { kAuto, kEpoll, kUring };

struct LoopOptions {
  Engine engine = Engine::kAuto;
  std::uint32_t receive_bytes = 16 * 1024;  // most that one on_data() carries
  std::uint32_t receive_buffers = 256;      // io_uring: buffers provided to the kernel; a power of two
  std::uint32_t ring_entries = 1024;        // io_uring: submissions per system call; four times as many completions
  // Other loops listen to the same sockets. io_uring: one accept at a time, as a multishot accept is woken before all
  // others and would take every connection.
  bool share_accepts = false;
  // How long a wait() that finds nothing goes on looking before it sleeps.
  std::chrono::microseconds busy_poll{0};
};

// What busy polling has done so far.
struct PollCounts {
  std::uint64_t found = 0;    // times that it ended because something had happened
  std::uint64_t missed = 0;   // times that it did not; then the loop slept, if its wait had time left
  std::uint64_t idle_ns = 0;  // time that passed in it
};

// When on_sent() comes. kLater: nothing waits for it, so it may come together with the loop's next event; this saves
// io_uring one system call per turn. Choose it for the last reply of a batch, never before close() or when there is
// more to send.
enum class SentNotice : std::uint8_t { kSoon, kLater };

class Loop {
 public:
  virtual ~Loop() = default;

  virtual void attach(Stream& stream, Fd fd) = 0;
  // REQUIRES: no send under way, stream not closed. The loop owns the buffer until on_sent() or on_closed().
  virtual void send(Stream& stream, Buffer&& output, SentNotice notice = SentNotice::kSoon) = 0;
  // A send() that said kLater is waited for after all. No effect when nothing is under way.
  virtual void tell_soon(Stream& stream) = 0;
  virtual void pause(Stream& stream) = 0;
  virtual void resume(Stream& stream) = 0;
  // Sends FIN; receiving goes on. REQUIRES: no send under way.
  virtual void shutdown_write(Stream& stream) = 0;
  virtual void close(Stream& stream) = 0;
  // A second one changes nothing, nor does one after close().
  virtual void detach(Stream& stream) = 0;

  // More than one listening socket may be added. They stay their owner's, who closes them after the loop is destroyed,
  // or after pause_accept() and a turn. Several loops may listen to the same one, if each was made with share_accepts:
  // every connection comes to one of them.
  virtual void listen(Acceptor& acceptor, int listening_fd) = 0;
  virtual void pause_accept() = 0;
  virtual void resume_accept() = 0;

  // Waits until something happened, wake() was called, or the time is over (-1: no limit; 0: only look). A signal ends
  // it early.
  virtual void wait(int timeout_ms) = 0;
  // Makes the callbacks for what happened. Returns how many streams received data.
  virtual std::size_t dispatch() = 0;

  // Makes wait() return soon. Any thread; costs a system call only when the loop sleeps and no earlier wake() is
  // unseen.
  virtual void wake() noexcept = 0;

  [[nodiscard]] virtual std::string_view engine_name() const noexcept = 0;  // "io_uring" or "epoll"
  // Owner's thread only.
  [[nodiscard]] virtual const PollCounts& poll_counts() const noexcept = 0;
};

struct EngineChoice {
  Engine engine = Engine::kEpoll;
  // Why, for the log, `stats` and /vars.json: "probe passed", "io_uring_queue_init: Operation not permitted".
  std::string reason;
};

// Probes once (set up a ring with the wanted flags, register buffers, receive on a socket pair, accept on a socket).
// kUring that fails the probe throws std::runtime_error with the reason; kAuto falls back to epoll.
[[nodiscard]] EngineChoice choose_engine(Engine wanted);
[[nodiscard]] std::unique_ptr<Loop> make_loop(const LoopOptions& options);  // REQUIRES: engine is not kAuto

}  // namespace pelikan::net
