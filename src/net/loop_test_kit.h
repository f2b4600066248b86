// What the loop's tests share: the engines and transports to run over, a stream that records its callbacks, and a peer.
// Everything runs in one thread: the peers are non-blocking sockets, so no test sleeps or races.
#pragma once

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/loop.h"
#include "net/socket.h"

namespace pelikan::net::testing {

#if defined(__SANITIZE_THREAD__)
inline constexpr bool kThreadSanitizer = true;
#elif defined(__has_feature)
inline constexpr bool kThreadSanitizer = __has_feature(thread_sanitizer);
#else
inline constexpr bool kThreadSanitizer = false;
#endif

// ThreadSanitizer does not see what the kernel writes for io_uring, so it runs over epoll only. Anywhere else io_uring
// must work: its tests fail where it is forbidden, unless PELIKAN_NO_IO_URING=1 says that this is known.
inline bool expect_uring() {
  const char* no_uring = std::getenv("PELIKAN_NO_IO_URING");
  return no_uring == nullptr || std::string_view(no_uring) != "1";
}

inline std::vector<Engine> engines() {
  if (kThreadSanitizer || !expect_uring()) return {Engine::kEpoll};
  return {Engine::kEpoll, Engine::kUring};
}

enum class Transport { kTcp, kUnix, kPair };

struct Setup {
  Engine engine;
  Transport transport;
  std::chrono::microseconds busy_poll{0};
};

inline constexpr std::chrono::microseconds kBusyPoll{20};  // so short that a loop polls in vain, too

inline std::vector<Setup> setups(Transport transport) {
  std::vector<Setup> all;
  for (const Engine engine : engines()) all.push_back({engine, transport});
  for (const Engine engine : engines()) all.push_back({engine, transport, kBusyPoll});
  return all;
}

inline std::vector<Setup> setups() {
  std::vector<Setup> all = setups(Transport::kPair);
  for (const Engine engine : engines()) {
    for (const Transport transport : {Transport::kTcp, Transport::kUnix}) all.push_back({engine, transport});
  }
  return all;
}

inline std::string engine_label(Engine engine) { return engine == Engine::kUring ? "io_uring" : "epoll"; }

inline std::string engine_name(const ::testing::TestParamInfo<Engine>& info) { return engine_label(info.param); }

inline std::string label(const ::testing::TestParamInfo<Setup>& info) {
  const auto transport = info.param.transport;
  return engine_label(info.param.engine) +
         (transport == Transport::kTcp    ? "_tcp"
          : transport == Transport::kUnix ? "_unix"
                                          : "_pair") +
         (info.param.busy_poll.count() > 0 ? "_polling" : "");
}

struct Ends {
  Fd ours;    // for the loop
  Fd theirs;  // the peer's, non-blocking
};

inline std::string temporary_path() {
  static int count = 0;
  return ::testing::TempDir() + "pelikan_net_" + std::to_string(::getpid()) + "_" + std::to_string(count++);
}

inline Ends connect_ends(Transport transport) {
  if (transport == Transport::kPair) {
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) std::abort();
    return {Fd(fds[0]), Fd(fds[1])};
  }
  if (transport == Transport::kTcp) {
    static const Listening shared = listen_tcp("127.0.0.1", 0, 512);
    const int port = std::stoi(shared.name.substr(shared.name.rfind(':') + 1));
    Fd theirs = connect_tcp("127.0.0.1", static_cast<std::uint16_t>(port));
    return {Fd(::accept4(shared.fd.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)), std::move(theirs)};
  }
  const std::string path = temporary_path();
  const Fd listening = listen_unix(path, 0600, 16).fd;
  Fd theirs = connect_unix(path);
  ::unlink(path.c_str());
  return {Fd(::accept4(listening.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)), std::move(theirs)};
}

// So that most sends stop half-way.
inline void shrink_send_buffer(int fd) {
  const int bytes = 4096;
  ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

// Closing sends a reset instead of FIN.
inline void reset_on_close(int fd) {
  const linger hard{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
}

// Bytes that show where in the stream they belong.
inline std::string pattern(std::size_t from, std::size_t count) {
  std::string bytes(count, '\0');
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<char>((from + i) * 2654435761U >> 13);
  return bytes;
}

inline std::size_t peer_write(const Fd& peer, std::string_view bytes) {
  const ssize_t count = ::send(peer.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  return count > 0 ? static_cast<std::size_t>(count) : 0;
}

// What has arrived; `ended` becomes true at FIN or reset.
inline std::string peer_read(const Fd& peer, bool* ended = nullptr, std::size_t limit = 1 << 16) {
  std::string bytes(limit, '\0');
  const ssize_t count = ::recv(peer.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
  if (ended != nullptr && (count == 0 || (count < 0 && errno != EAGAIN))) *ended = true;
  bytes.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  return bytes;
}

// A fixture: loops of the engine, and connections of the transport, that the test runs over.
class OverAllSetups : public ::testing::TestWithParam<Setup> {
 protected:
  std::unique_ptr<Loop> make(LoopOptions options = {}) const {
    options.engine = GetParam().engine;
    options.busy_poll = GetParam().busy_poll;
    return make_loop(options);
  }
  Ends ends() const { return connect_ends(GetParam().transport); }
};

class Recorder : public Stream {
 public:
  explicit Recorder(Loop& owner) : loop(&owner) {}

  void on_data(std::string_view bytes) override {
    EXPECT_FALSE(closing_called) << "on_data after close";
    EXPECT_TRUE(ends.empty()) << "on_data after on_end";
    EXPECT_FALSE(bytes.empty());
    received += bytes.size();
    if (keep) data += bytes;
    if (when_data) when_data(bytes);
  }
  void on_end(int error) override {
    EXPECT_FALSE(closing_called) << "on_end after close";
    EXPECT_TRUE(ends.empty() || (ends.size() == 1 && ends[0] == 0 && error != 0));
    ends.push_back(error);
    if (when_end) when_end(error);
  }
  void on_sent() override {
    EXPECT_FALSE(closing_called) << "on_sent after close";
    EXPECT_TRUE(sending);
    sending = false;
    ++sent;
    if (when_sent) when_sent();
  }
  void on_closed() override {
    EXPECT_TRUE(closing_called);
    ++closed;
  }
  void on_detached(Fd fd) override {
    EXPECT_TRUE(detach_called);
    EXPECT_FALSE(closing_called) << "on_detached after close";
    EXPECT_FALSE(sending) << "on_detached before on_sent";
    EXPECT_TRUE(fd);
    detach_called = false;
    ++detached;
    descriptor = std::move(fd);
    if (when_detached) when_detached();
  }

  void send(std::string_view bytes, SentNotice notice = SentNotice::kSoon) {
    Buffer buffer(pool());
    buffer.append(bytes);
    sending = true;
    loop->send(*this, std::move(buffer), notice);
  }
  void close() {
    closing_called = true;
    loop->close(*this);
  }
  void detach() {
    detach_called = true;
    loop->detach(*this);
  }
  // After on_detached(): a new life in this or another loop.
  void attach_to(Loop& other) {
    loop = &other;
    ends.clear();
    loop->attach(*this, std::move(descriptor));
  }
  static BufferPool& pool() {
    static BufferPool shared(std::size_t{1} << 30);
    return shared;
  }

  Loop* loop;
  std::string data;
  bool keep = true;  // received bytes in `data`
  std::size_t received = 0;
  std::vector<int> ends;
  int sent = 0;
  int closed = 0;
  bool sending = false;
  bool closing_called = false;
  int detached = 0;
  bool detach_called = false;
  Fd descriptor;  // after on_detached()
  std::function<void(std::string_view)> when_data;
  std::function<void(int)> when_end;
  std::function<void()> when_sent;
  std::function<void()> when_detached;
};

// From now on the system call meets a seccomp action in this process: SECCOMP_RET_ERRNO | errno, or
// SECCOMP_RET_KILL_PROCESS.
inline bool forbid(long system_call, unsigned action) {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(system_call), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, action),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{.len = std::size(filter), .filter = filter};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

inline void expect_success(pid_t child) {
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

inline void turn(Loop& loop, int timeout_ms = 0) {
  loop.wait(timeout_ms);
  loop.dispatch();
}

// Turns until `done`; a test that would hang fails after a generous time instead. `between` is the peers' part of each
// turn.
inline bool run_until(Loop& loop, const std::function<bool()>& done, const std::function<void()>& between = {}) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!done()) {
    if (between) between();
    turn(loop, between ? 0 : 50);
    if (std::chrono::steady_clock::now() > deadline) {
      ADD_FAILURE() << "not done within the time";
      return false;
    }
  }
  return true;
}

inline void close_and_forget(Recorder& stream) {
  stream.close();
  run_until(*stream.loop, [&] { return stream.closed > 0; });
  EXPECT_EQ(stream.closed, 1);
}

// A seed that is printed when the test fails; PELIKAN_TEST_SEED repeats it.
inline std::uint32_t test_seed() {
  const char* given = std::getenv("PELIKAN_TEST_SEED");
  return given != nullptr ? static_cast<std::uint32_t>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
}

inline std::size_t iterations(std::size_t by_default) {
  const char* given = std::getenv("PELIKAN_TEST_ITERATIONS");
  return given != nullptr ? std::strtoul(given, nullptr, 10) : by_default;
}

}  // namespace pelikan::net::testing
