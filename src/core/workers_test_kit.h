// What core's tests with several workers share: a protocol whose replies are the requests, a slow storage, workers with
// or without a storage thread, and clients on socket pairs. Nothing sleeps; what takes longer than kPatienceSec fails.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "core/storage_thread.h"
#include "core/worker.h"
#include "testing/fake_clock.h"

namespace pelikan::core {

inline constexpr int kPatienceSec = 60;
inline constexpr std::size_t kConnectionsMax = 64;

// A line is a request; it is its own reply. A line "quit" ends the session.
struct EchoProtocol {
  struct Request {
    std::string_view line;
  };
  struct Response {
    std::string_view line;
  };
  [[nodiscard]] static ParseResult parse(std::string_view bytes, Request& request) {
    const std::size_t end = bytes.find('\n');
    if (end == bytes.npos) return {ParseStatus::kNeedMore, 0};
    request.line = bytes.substr(0, end + 1);
    return {request.line == "nonsense\n" ? ParseStatus::kInvalid : ParseStatus::kDone, end + 1};
  }
  static void compose(const Response& response, Buffer& out) { out.append(response.line); }
};

// Not for several threads, unless a test says so: a second one in it would be seen by ThreadSanitizer, and by the
// count.
struct SlowEcho {
  void execute(const EchoProtocol::Request& request, Replies<EchoProtocol>& reply) {
    CHECK(++inside == 1 || shared);
    for (int i = 0; i < spins; ++i) spun.store(i, std::memory_order_relaxed);
    if (request.line == "quit\n") {
      reply.close();
    } else {
      for (int i = 0; i < replies_per_request; ++i) reply({request.line});
    }
    --inside;
  }
  bool shared = false;
  int spins = 300;
  int replies_per_request = 1;
  std::atomic<int> inside{0};
  std::atomic<int> spun{0};
};

class WorkersTest : public ::testing::TestWithParam<net::Engine> {
 protected:
  explicit WorkersTest(std::size_t connections_max = kConnectionsMax) : limit_(connections_max) {}

  void start(std::size_t workers, bool with_storage_thread, std::size_t buffer_bytes_max = 64u << 20) {
    if (with_storage_thread) storage_thread_.emplace(service_of(0), clock_, buffer_bytes_max, storage_wait_ms_);
    storage_.shared = !with_storage_thread;
    WorkerSettings settings;
    settings.loop.engine = GetParam();
    settings.buffer_bytes_max = buffer_bytes_max;
    settings.workers = workers;
    settings.wait_ms = wait_ms_;
    for (std::size_t i = 0; i < workers; ++i) {
      workers_.push_back(std::make_unique<Worker>(settings, service_of(with_storage_thread ? 0 : i), limit_, clock_,
                                                  storage_thread_ ? &*storage_thread_ : nullptr));
    }
    memory_ = {};
    for (auto& worker : workers_) {
      memory_.pools.push_back(&worker->buffers());
      if (with_storage_thread) memory_.lanes.push_back(worker->lane());
    }
    if (with_storage_thread) {
      memory_.pools.push_back(&storage_thread_->buffers());
      storage_thread_->share_memory(memory_);
    }
    for (auto& worker : workers_) worker->share_memory(memory_);
    for (auto& worker : workers_) threads_.emplace_back([&worker = *worker] { worker.run(); });
    if (storage_thread_) thread_ = std::jthread([this] { storage_thread_->run(); });
  }
  // All threads end.
  void stop() {
    for (auto& worker : workers_) worker->stop();
    threads_.clear();
    if (storage_thread_) storage_thread_->stop();
    if (thread_.joinable()) thread_.join();
  }
  void TearDown() override { stop(); }

  // Nothing: there are as many connections as there may be. One thread at a time may connect.
  std::optional<net::Fd> connect(std::unique_ptr<net::tls::Session> tls = nullptr) {
    const std::scoped_lock lock(connect_mutex_);
    if (!limit_.acquire()) return std::nullopt;
    int pair[2];
    CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    ::fcntl(pair[0], F_SETFL, O_NONBLOCK);
    const timeval patience{.tv_sec = kPatienceSec, .tv_usec = 0};
    setsockopt(pair[1], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    auto established = std::make_unique<Established>();
    established->fd = net::Fd(pair[0]);
    established->tls = std::move(tls);
    workers_[next_worker_++ % workers_.size()]->hand_over(0, std::move(established));
    return net::Fd(pair[1]);
  }
  static bool send(const net::Fd& fd, std::string_view bytes) {
    return ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  static std::string receive(const net::Fd& fd, std::size_t count) {
    std::string bytes(count, '\0');
    std::size_t size = 0;
    while (size < count) {
      const ssize_t got = ::recv(fd.get(), bytes.data() + size, count - size, 0);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) break;
      size += static_cast<std::size_t>(got);
    }
    bytes.resize(size);
    return bytes;
  }
  static void wait_until(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(kPatienceSec);
    while (!done()) {
      ASSERT_LT(std::chrono::steady_clock::now(), end);
      std::this_thread::yield();
    }
  }
  // Of worker `i`, or of the storage thread: one for all that may be called by several threads, unless a test has more.
  virtual Service& service_of(std::size_t /*i*/) { return service_; }
  [[nodiscard]] std::size_t bytes_held() const { return memory_.bytes(); }

  int wait_ms_ = 5;
  int storage_wait_ms_ = StorageThread::kWaitMs;
  testing::FakeClock clock_;
  SlowEcho storage_;
  ServiceFor<EchoProtocol, SlowEcho> service_{storage_};
  ConnectionLimit limit_;
  std::optional<StorageThread> storage_thread_;
  std::vector<std::unique_ptr<Worker>> workers_;
  StorageThread::BufferMemory memory_;
  std::vector<std::jthread> threads_;
  std::jthread thread_;
  std::mutex connect_mutex_;
  std::size_t next_worker_ = 0;
};

#if defined(__SANITIZE_THREAD__)
inline const auto kEngines = ::testing::Values(net::Engine::kEpoll);  // TSan does not see io_uring
#else
inline const auto kEngines = ::testing::Values(net::Engine::kEpoll, net::Engine::kUring);
#endif

}  // namespace pelikan::core
