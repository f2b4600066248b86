// A worker with the ping protocol on real sockets, under both engines. The test is the client; a socket that gives
// nothing within kPatience is a failure, so nothing here waits for a time to pass.
#include "core/worker.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "backend/ping/noop.h"
#include "testing/fake_clock.h"

namespace pelikan::core {
namespace {

constexpr int kPatienceMs = 20'000;

class Client {
 public:
  explicit Client(net::Fd fd) : fd_(std::move(fd)) {
    const timeval patience{.tv_sec = kPatienceMs / 1000, .tv_usec = 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  }
  void send(std::string_view bytes) {
    ASSERT_EQ(::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  // Sends what the kernel takes without waiting.
  std::size_t send_some(std::string_view bytes) {
    const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent > 0 ? static_cast<std::size_t>(sent) : 0;
  }
  std::string receive(std::size_t count) {
    std::string bytes(count, '\0');
    std::size_t size = 0;
    while (size < count) {
      const ssize_t got = receive_some(bytes.data() + size, count - size);
      if (got <= 0) break;
      size += static_cast<std::size_t>(got);
    }
    bytes.resize(size);
    return bytes;
  }
  // Everything until the server's FIN; nothing when the connection was reset or the patience is over.
  std::optional<std::string> receive_all() {
    std::string all;
    char bytes[4096];
    for (;;) {
      const ssize_t got = receive_some(bytes, sizeof(bytes));
      if (got < 0) return std::nullopt;
      if (got == 0) return all;
      all.append(bytes, static_cast<std::size_t>(got));
    }
  }
  void finish() { ::shutdown(fd_.get(), SHUT_WR); }
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  // The end of a ring that another thread owned may interrupt a receive with a time limit.
  ssize_t receive_some(char* to, std::size_t count) {
    ssize_t got = 0;
    do {
      got = ::recv(fd_.get(), to, count, 0);
    } while (got < 0 && errno == EINTR);
    return got;
  }

  net::Fd fd_;
};

// A worker that polls does so until there is something to do.
struct Driven {
  net::Engine engine;
  std::chrono::microseconds busy_poll;
};

class WorkerTest : public ::testing::TestWithParam<Driven> {
 protected:
  void start(WorkerSettings settings = {}) {
    settings.loop.engine = GetParam().engine;
    settings.loop.busy_poll = GetParam().busy_poll;
    settings.wait_ms = wait_ms_;
    worker_.emplace(settings, service_, limit_, clock_);
    thread_ = std::jthread([this] { worker_->run(); });
  }
  void TearDown() override {
    if (worker_) worker_->stop();
  }
  Client connect() {
    int pair[2];
    CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    ::fcntl(pair[0], F_SETFL, O_NONBLOCK);
    CHECK(limit_.acquire());
    auto established = std::make_unique<Established>();
    established->fd = net::Fd(pair[0]);
    worker_->hand_over(0, std::move(established));
    return Client(net::Fd(pair[1]));
  }
  // Runs `look` on the worker's thread between two turns.
  void on_worker(const std::function<void()>& look) {
    std::atomic<bool> done{false};
    worker_->post([&] {
      look();
      done = true;
      done.notify_one();
    });
    done.wait(false);
  }
  // Lets the worker turn until `holds`; every try is a turn of its loop.
  void wait_until(const std::function<bool()>& holds) {
    bool held = false;
    for (int turn = 0; turn < 1'000'000 && !held; ++turn) on_worker([&] { held = holds(); });
    ASSERT_TRUE(held);
  }

  int wait_ms_ = 5;
  testing::FakeClock clock_;
  backend::ping::Noop noop_;
  ServiceFor<protocol::ping::Protocol, backend::ping::Noop> service_{noop_};
  ConnectionLimit limit_{1024};
  std::optional<Worker> worker_;
  std::jthread thread_;
};

TEST_P(WorkerTest, AnswersWhateverTheCut) {
  start();
  const std::string requests = "PING\r\nping\nPiNg\r\n";
  for (std::size_t cut = 0; cut <= requests.size(); ++cut) {
    Client client = connect();
    client.send(requests.substr(0, cut));
    client.send(requests.substr(cut));
    EXPECT_EQ(client.receive(18), "PONG\r\nPONG\r\nPONG\r\n") << "cut at " << cut;
  }
}

// A batch that comes in several receives, and one with its end, are answered at once: no event may wait for a time-out.
TEST_P(WorkerTest, NothingWaitsForATimeOut) {
  wait_ms_ = 60'000;
  start();
  for (int round = 0; round < 50; ++round) {
    Client batch = connect();
    std::string requests;
    for (int i = 0; i < 1000 * (1 + round % 10); ++i) requests += "PING\r\n";
    batch.send(requests);
    ASSERT_EQ(batch.receive(requests.size()).size(), requests.size());
    Client ended = connect();
    ended.send("PING\r\n");
    ended.finish();
    ASSERT_EQ(ended.receive_all(), "PONG\r\n");
  }
}

TEST_P(WorkerTest, CountsItsBusyPolls) {
  wait_ms_ = 60'000;  // nothing is missed by a poll that is longer
  start();
  Client client = connect();
  client.send("PING\r\n");
  EXPECT_EQ(client.receive(6), "PONG\r\n");
  on_worker([&] {
    const WorkerMetrics& metrics = worker_->metrics();
    const bool polls = GetParam().busy_poll.count() > 0;
    EXPECT_EQ(metrics.poll_found.value() > 0, polls);
    EXPECT_EQ(metrics.poll_missed.value(), 0u);
    EXPECT_EQ(worker_->polled_ns() > 0, polls);
  });
}

// Bytes behind the end of a session do not put that end off.
TEST_P(WorkerTest, AFinishedSessionEndsHoweverMuchIsSent) {
  start();
  Client chatty = connect();
  chatty.send("nonsense\r\n");
  EXPECT_EQ(chatty.receive_all(), "");
  for (int i = 0; i < 1000 && worker_->connections() > 0; ++i) {
    (void)chatty.send_some("x");
    clock_.advance(1);
    on_worker([] {});
  }
  EXPECT_EQ(worker_->connections(), 0u);
}

TEST_P(WorkerTest, AnswersWhatWasReceivedBeforeTheHalfClose) {
  start();
  Client client = connect();
  client.send("PING\r\nPING\r\nPI");
  client.finish();
  EXPECT_EQ(client.receive_all(), "PONG\r\nPONG\r\n");
}

TEST_P(WorkerTest, NonsenseEndsTheSessionAfterTheRepliesBeforeIt) {
  start();
  Client client = connect();
  client.send("PING\r\nGET / HTTP/1.1\r\n" + std::string(100'000, 'x'));
  EXPECT_EQ(client.receive_all(), "PONG\r\n");
  Client other = connect();
  other.send("PING\r\n");
  EXPECT_EQ(other.receive(6), "PONG\r\n");
}

TEST_P(WorkerTest, OneLongPipelineLetsOthersIn) {
  start();
  Client busy = connect();
  Client other = connect();
  constexpr int kRequests = 100'000;
  std::string requests;
  for (int i = 0; i < kRequests; ++i) requests += "PING\r\n";
  std::jthread writer([&] { busy.send(requests); });
  other.send("PING\r\n");
  EXPECT_EQ(other.receive(6), "PONG\r\n");
  EXPECT_EQ(busy.receive(6 * kRequests).size(), 6u * kRequests);
}

// A client that writes and never reads: the server stops reading from it and holds a bounded amount.
TEST_P(WorkerTest, AClientThatNeverReadsIsHeldAtABound) {
  start();
  Client deaf = connect();
  const std::string requests = [] {
    std::string text;
    for (int i = 0; i < 10'000; ++i) text += "PING\r\n";
    return text;
  }();
  // Sends until the kernel takes no more and the worker reads no more: two looks apart with no progress.
  std::size_t offset = 0;
  int stuck = 0;
  while (stuck < 50) {
    const std::size_t sent = deaf.send_some(std::string_view(requests).substr(offset));
    offset = (offset + sent) % requests.size();
    on_worker([] {});
    stuck = sent == 0 ? stuck + 1 : 0;
  }
  std::size_t held = 0;
  on_worker([&] { held = worker_->buffers().bytes_in_use(); });
  EXPECT_LE(held, 8u << 20);
  Client other = connect();
  other.send("PING\r\n");
  EXPECT_EQ(other.receive(6), "PONG\r\n");
  EXPECT_EQ(worker_->connections(), 2u);
}

TEST_P(WorkerTest, ShedsTheSessionThatHoldsMostAboveTheMemoryLimit) {
  WorkerSettings settings;
  settings.buffer_bytes_max = 64 * 1024;
  start(settings);
  Client deaf = connect();
  Client other = connect();
  other.send("PING\r\n");
  EXPECT_EQ(other.receive(6), "PONG\r\n");
  std::string requests;
  for (int i = 0; i < 1000; ++i) requests += "PING\r\n";
  for (int i = 0; i < 10'000 && worker_->connections() == 2; ++i) {
    (void)deaf.send_some(requests);
    on_worker([] {});
  }
  EXPECT_EQ(worker_->connections(), 1u);
  EXPECT_EQ(worker_->metrics().session_buffer_exhausted.value(), 1u);
  other.send("PING\r\n");
  EXPECT_EQ(other.receive(6), "PONG\r\n");
}

TEST_P(WorkerTest, ClosesIdleSessionsAndOnlyThose) {
  WorkerSettings settings;
  settings.idle_timeout_sec = 10;
  start(settings);
  Client idle = connect();
  Client active = connect();
  active.send("PING\r\n");
  EXPECT_EQ(active.receive(6), "PONG\r\n");
  wait_until([&] { return worker_->connections() == 2; });
  clock_.advance(6);
  active.send("PING\r\n");
  EXPECT_EQ(active.receive(6), "PONG\r\n");
  clock_.advance(6);
  EXPECT_EQ(idle.receive_all(), "");
  active.send("PING\r\n");
  EXPECT_EQ(active.receive(6), "PONG\r\n");
  EXPECT_EQ(worker_->connections(), 1u);
}

// What is in the socket when the drain begins is answered; the client sees FIN, not a reset; the worker then ends by
// itself.
TEST_P(WorkerTest, DrainAnswersWhatHasArrived) {
  for (int round = 0; round < 20; ++round) {
    start();
    Client one = connect();
    Client idle = connect();
    std::string requests;
    for (int i = 0; i < 5000; ++i) requests += "PING\r\n";
    one.send(requests);
    worker_->start_drain();
    const auto replies = one.receive_all();
    ASSERT_TRUE(replies.has_value()) << "reset";
    EXPECT_EQ(replies->size(), requests.size());
    EXPECT_EQ(idle.receive_all(), "");
    one.finish();
    idle.finish();
    thread_.join();
    worker_.reset();
  }
}

TEST_P(WorkerTest, ConnectionsComeAndGo) {
  start();
  for (int round = 0; round < 300; ++round) {
    Client client = connect();
    client.send(round % 3 == 0 ? "PING\r\nPI" : "PING\r\n");
    if (round % 2 == 0) {
      EXPECT_EQ(client.receive(6), "PONG\r\n");
    }
  }
  wait_until([&] { return worker_->connections() == 0 && worker_->buffers().bytes_in_use() == 0; });
}

std::vector<Driven> all_ways() {
  std::vector<Driven> ways;
  for (const auto busy_poll : {std::chrono::microseconds(0), std::chrono::microseconds(std::chrono::hours(1))}) {
    ways.push_back({net::Engine::kEpoll, busy_poll});
#if !defined(__SANITIZE_THREAD__)  // it does not see io_uring
    ways.push_back({net::Engine::kUring, busy_poll});
#endif
  }
  return ways;
}
INSTANTIATE_TEST_SUITE_P(Engines, WorkerTest, ::testing::ValuesIn(all_ways()), [](const auto& test) {
  const std::string engine = test.param.engine == net::Engine::kEpoll ? "epoll" : "io_uring";
  return engine + (test.param.busy_poll.count() > 0 ? "_polling" : "");
});

}  // namespace
}  // namespace pelikan::core
