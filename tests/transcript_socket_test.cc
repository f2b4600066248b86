// The protocol's transcript against a whole server in this process: listener, worker, backend and storage, on both
// engines, over TCP and the unix socket; whole, and cut at every byte with the worker given time to see the first part
// alone.
//
// The server's clock is the test's. A reply is read until it is what the transcript expects; a case ends with a
// half-close, after which nothing more may come. The limit of patience is only ever reached by a failure.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <cstdlib>
#include <optional>
#include <string>

#include "backend/memcache/backend.h"
#include "core/process.h"
#include "net/socket.h"
#include "storage/segcache/segcache.h"
#include "testing/fake_clock.h"
#include "testing/memcache/fake_host.h"
#include "testing/memcache/transcript.h"

namespace pelikan {
namespace {

using backend::memcache::MemcacheBackend;

constexpr int kPatienceSec = 20;
constexpr std::size_t kNoCut = static_cast<std::size_t>(-1);
// Longer steps are cut only near both ends and at some places between.
constexpr std::size_t kCutAllBytesMax = 512;

struct Setup {
  const char* engine;
  bool unix_socket;
};

// Where the unix socket is; gone when the server is.
struct Folder {
  Folder() { CHECK(::mkdtemp(path.data()) != nullptr); }
  ~Folder() { ::rmdir(path.c_str()); }
  std::string path = ::testing::TempDir() + "pelikan_transcript_XXXXXX";
};

struct Options : core::CoreOptions {
  Options(const Setup& setup, const std::string& unix_path) {
    server.port.set(0);
    server.unix_socket.set(unix_path);
    worker.timeout.set(5);
    net.engine.set(setup.engine);
  }
};

struct Storage : storage::segcache::SegOptions {
  Storage() {
    heap_size.set(std::uint64_t{64} << 20);
    segment_size.set(std::uint64_t{1} << 20);
  }
};

class TranscriptOverSockets : public ::testing::TestWithParam<Setup> {
 protected:
  TranscriptOverSockets() { process_.start(); }

  // Runs `task` on the worker's thread; with nothing to do, lets the worker go through a turn.
  void on_worker(const std::function<void()>& task) {
    std::atomic<bool> done{false};
    process_.worker().post([&] {
      task();
      done = true;
      done.notify_one();
    });
    done.wait(false);
  }
  // The turn that is under way may have begun before what we sent: the one after it has not.
  void let_the_worker_see() {
    on_worker([] {});
    on_worker([] {});
  }

  net::Fd connect() {
    net::Fd fd = GetParam().unix_socket ? net::connect_unix(folder_.path + "/socket")
                                        : net::connect_tcp("127.0.0.1", process_.tcp_port());
    net::set_no_delay(fd.get());
    const timeval patience{.tv_sec = kPatienceSec, .tv_usec = 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return fd;
  }
  static bool send_all(const net::Fd& fd, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0) return errno == EPIPE || errno == ECONNRESET;  // the server may end a session in mid request
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  // False at the end of the stream.
  static bool receive_some(const net::Fd& fd, std::string& to) {
    char bytes[65536];
    ssize_t got = 0;
    do {
      got = ::recv(fd.get(), bytes, sizeof(bytes), 0);
    } while (got < 0 && errno == EINTR);
    if (got <= 0) return false;
    to.append(bytes, static_cast<std::size_t>(got));
    return true;
  }

  // Plays one case with step `cut_step` cut before byte `cut_at`; what went wrong, or nothing.
  std::optional<std::string> play(const testing::TranscriptCase& test, std::size_t cut_step, std::size_t cut_at) {
    on_worker([this] { backend_.flush_all(); });
    const net::Fd client = connect();
    std::string token = "0";
    std::string reply;
    for (std::size_t i = 0; i < test.steps.size(); ++i) {
      const testing::TranscriptStep& step = test.steps[i];
      if (step.advance_sec != 0) {
        clock_.advance(step.advance_sec);
        let_the_worker_see();
      }
      const std::string send = testing::fill_in(step.send, token);
      if (i == cut_step) {
        if (!send_all(client, std::string_view(send).substr(0, cut_at))) return "cannot send";
        let_the_worker_see();
      }
      if (!send_all(client, std::string_view(send).substr(i == cut_step ? cut_at : 0))) return "cannot send";
      reply.clear();
      if (step.closes) {
        while (receive_some(client, reply)) continue;
      } else if (!step.expect.empty()) {
        while (!testing::matches(step.expect, reply, token) && receive_some(client, reply)) continue;
      }
      if (!testing::matches(step.expect, reply, token))
        return "step " + std::to_string(i) + " replied: " + reply.substr(0, 300);
      if (step.closes) return std::nullopt;
    }
    ::shutdown(client.get(), SHUT_WR);
    reply.clear();
    while (receive_some(client, reply)) continue;
    if (!reply.empty()) return "replied more than expected: " + reply.substr(0, 300);
    return std::nullopt;
  }

  testing::FakeClock clock_;
  testing::FakeHost host_;
  Storage seg_;
  storage::segcache::SegCache cache_{seg_, KeyHash(1), clock_.now()};
  MemcacheBackend backend_{cache_, host_, clock_.now()};
  core::ServiceFor<MemcacheBackend::Protocol, MemcacheBackend> service_{backend_};
  Folder folder_;
  core::Process process_{Options(GetParam(), folder_.path + "/socket"), service_, clock_};
};

TEST_P(TranscriptOverSockets, HoldsWhole) {
  for (const auto& test : testing::load_transcript()) {
    const auto wrong = play(test, kNoCut, 0);
    EXPECT_FALSE(wrong.has_value()) << test.name << ": " << *wrong;
  }
}

TEST_P(TranscriptOverSockets, HoldsCutAtEveryByte) {
  for (const auto& test : testing::load_transcript()) {
    for (std::size_t step = 0; step < test.steps.size(); ++step) {
      const std::size_t bytes = test.steps[step].send.size();
      for (std::size_t at = 1; at < bytes; ++at) {
        const bool near_an_end = at < 16 || bytes - at < 16;
        if (bytes > kCutAllBytesMax && !near_an_end && at % (bytes / 16) != 0) continue;
        const auto wrong = play(test, step, at);
        ASSERT_FALSE(wrong.has_value()) << test.name << ", step " << step << " cut at " << at << ": " << *wrong;
      }
    }
  }
}

std::string name_of(const ::testing::TestParamInfo<Setup>& setup) {
  return std::string(setup.param.engine) + (setup.param.unix_socket ? "_unix" : "_tcp");
}

#if defined(__SANITIZE_THREAD__)
INSTANTIATE_TEST_SUITE_P(All, TranscriptOverSockets,  // ThreadSanitizer does not see what io_uring writes
                         ::testing::Values(Setup{"epoll", false}, Setup{"epoll", true}), name_of);
#else
INSTANTIATE_TEST_SUITE_P(All, TranscriptOverSockets,
                         ::testing::Values(Setup{"epoll", false}, Setup{"epoll", true}, Setup{"io_uring", false},
                                           Setup{"io_uring", true}),
                         name_of);
#endif

}  // namespace
}  // namespace pelikan
