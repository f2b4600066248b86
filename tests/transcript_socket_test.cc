// The protocol's transcript against a whole server in this process: listener, workers, backend and storage; on both
// engines; with one worker that owns the storage, with four that share it, and with four and a storage thread; over TCP
// in plain text, TLS 1.2, TLS 1.3 and TLS with client certificates, and over the unix socket; and with two listeners
// that do the handshakes.
// Whole, and cut at every byte with the server given time to see the first part alone: over TLS the two parts are two
// records.
//
// The server's clock is the test's. A reply is read until it is what the transcript expects; a case ends with a
// half-close, after which nothing more may come. The limit of patience is only ever reached by a failure.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <cstdlib>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/memcache/backend.h"
#include "core/process.h"
#include "net/socket.h"
#include "net/tls/credentials.h"
#include "storage/segcache/segcache.h"
#include "testing/fake_clock.h"
#include "testing/memcache/fake_host.h"
#include "testing/memcache/transcript.h"
#include "testing/pki/pki.h"

namespace pelikan {
namespace {

using backend::memcache::MemcacheBackend;
using storage::segcache::SegCache;

constexpr int kPatienceSec = 20;
constexpr std::size_t kNoCut = static_cast<std::size_t>(-1);
// Longer steps are cut only near both ends and at some places between.
constexpr std::size_t kCutAllBytesMax = 512;

enum class Transport { kUnix, kPlain, kTls12, kTls13, kMutualTls };

struct Setup {
  const char* engine;
  std::string shape;  // owned, shared or thread: docs/threads.md
  Transport transport;
  std::uint64_t listeners = 1;

  [[nodiscard]] std::uint64_t workers() const { return shape == "owned" ? 1 : 4; }
  [[nodiscard]] bool shared() const { return shape == "shared"; }

  [[nodiscard]] bool unix_socket() const { return transport == Transport::kUnix; }
  [[nodiscard]] bool tls() const { return transport >= Transport::kTls12; }
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
    worker.threads.set(setup.workers());
    if (setup.workers() > 1) storage.execution.set(setup.shape);
    listener.threads.set(setup.listeners);
    net.engine.set(setup.engine);
  }
};

struct Storage : storage::segcache::SegOptions {
  Storage() {
    heap_size.set(std::uint64_t{64} << 20);
    segment_size.set(std::uint64_t{1} << 20);
  }
};

// The server's certificates, and what a client needs to get in.
struct Certificates {
  explicit Certificates(const Setup& setup) {
    if (!setup.tls()) return;
    const testing::Identity authority = pki.authority("authority");
    const testing::Identity server = pki.issue(authority, {.name = "server", .san = {"IP:127.0.0.1"}});
    options.certificate.set(server.certificate);
    options.private_key.set(server.key);
    net::tls::ClientOptions client;
    client.ca_file = authority.certificate;
    client.min_version = setup.transport == Transport::kTls13 ? "1.3" : "1.2";
    client.max_version = setup.transport == Transport::kTls12 ? "1.2" : "1.3";
    if (setup.transport == Transport::kMutualTls) {
      const testing::Identity web = pki.issue(authority, {.name = "web", .san = {"URI:spiffe://test/web"}});
      options.ca_file.set(authority.certificate);
      options.allow.set({"URI:spiffe://test/*"});
      client.certificate_file = web.certificate;
      client.key_file = web.key;
    }
    credentials.emplace(options);
    clients.emplace(client);
  }
  testing::Pki pki;
  net::tls::TlsOptions options;
  std::optional<net::tls::Credentials> credentials;
  std::optional<net::tls::ClientContext> clients;
};

// The test's side of a connection, plain or TLS.
class Client {
 public:
  Client(net::Fd fd, std::unique_ptr<net::tls::Session> tls) : fd_(std::move(fd)), tls_(std::move(tls)) {
    const timeval patience{.tv_sec = kPatienceSec, .tv_usec = 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (tls_ != nullptr) CHECK(shake_hands());
  }
  // False: the server has ended the session and does not listen any more.
  bool send(std::string_view bytes) {
    if (tls_ == nullptr) return send_raw(bytes);
    CHECK(tls_->send(bytes, wire_));
    return flush();
  }
  // Appends to `to`. False at the end of the stream.
  bool receive(std::string& to) {
    while (!ended_) {
      const std::size_t before = to.size();
      if (tls_ == nullptr) {
        to += std::exchange(received_, {});
      } else {
        std::string_view bytes = received_;
        std::string_view plain;
        const Progress progress = tls_->receive(bytes, scratch_, plain, wire_);
        CHECK(progress != Progress::kFailed);
        ended_ = progress == Progress::kDone;
        to += plain;
        received_.erase(0, received_.size() - bytes.size());
      }
      if (to.size() > before) return true;
      if (!ended_ && !receive_raw()) return false;
    }
    return false;
  }
  void finish() {
    if (tls_ != nullptr) tls_->finish(wire_);
    flush();
    ::shutdown(fd_.get(), SHUT_WR);
  }

 private:
  using Progress = net::tls::Session::Progress;

  bool shake_hands() {
    for (;;) {
      std::string_view bytes = received_;
      const Progress progress = tls_->handshake(bytes, wire_);
      received_.erase(0, received_.size() - bytes.size());
      if (!flush() || progress == Progress::kFailed) return false;
      if (progress == Progress::kDone) return true;
      if (!receive_raw()) return false;
    }
  }
  bool flush() {
    const bool sent = send_raw(wire_.view());
    wire_.clear();
    return sent;
  }
  bool send_raw(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0) return errno == EPIPE || errno == ECONNRESET;  // the server may end a session in mid request
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  bool receive_raw() {
    char bytes[65536];
    ssize_t got = 0;
    do {
      got = ::recv(fd_.get(), bytes, sizeof(bytes), 0);
    } while (got < 0 && errno == EINTR);
    if (got <= 0) return false;
    received_.append(bytes, static_cast<std::size_t>(got));
    return true;
  }

  net::Fd fd_;
  std::unique_ptr<net::tls::Session> tls_;
  BufferPool pool_{1 << 30};
  Buffer wire_{pool_};
  std::string received_;
  std::string scratch_ = std::string(net::tls::Session::kPlainBytesMax, '\0');
  bool ended_ = false;
};

class TranscriptOverSockets : public ::testing::TestWithParam<Setup> {
 protected:
  TranscriptOverSockets() { process_.start(); }

  [[nodiscard]] std::unique_ptr<SegCache> make_storage() {
    const auto threads = static_cast<unsigned>(GetParam().shared() ? GetParam().workers() : 1);
    return std::make_unique<SegCache>(seg_, KeyHash(1), clock_.now(), threads);
  }

  // Runs `task` where requests are executed.
  void on_storage(const std::function<void()>& task) {
    wait_for([&](auto run) { process_.post_to_storage(std::move(run)); }, task);
  }
  // Every thread goes through a turn that begins from now on, in the order in which requests and replies pass them.
  // The turn that is under way may have begun before what we sent: the one after it has not.
  void let_the_server_see() {
    for (int round = 0; round < 2; ++round) {
      let_the_workers_see();
      on_storage([] {});
    }
    let_the_workers_see();
  }
  void let_the_workers_see() {
    for (std::size_t i = 0; i < process_.workers(); ++i) {
      wait_for([&](auto run) { process_.worker(i).post(std::move(run)); }, [] {});
    }
  }
  template <class Post>
  static void wait_for(Post&& post, const std::function<void()>& task) {
    std::atomic<bool> done{false};
    post(core::TaskQueue::Task([&] {
      task();
      done = true;
      done.notify_one();
    }));
    done.wait(false);
  }

  std::unique_ptr<Client> connect() {
    net::Fd fd = GetParam().unix_socket() ? net::connect_unix(folder_.path + "/socket")
                                          : net::connect_tcp("127.0.0.1", process_.tcp_port());
    net::set_no_delay(fd.get());
    auto tls = GetParam().tls() ? certificates_.clients->connect("127.0.0.1", true) : nullptr;
    return std::make_unique<Client>(std::move(fd), std::move(tls));
  }

  // Plays one case with step `cut_step` cut before byte `cut_at`; what went wrong, or nothing.
  std::optional<std::string> play(const testing::TranscriptCase& test, std::size_t cut_step, std::size_t cut_at) {
    on_storage([this] { backends_.front().flush_all(); });
    const auto client = connect();
    std::string token = "0";
    std::string reply;
    for (std::size_t i = 0; i < test.steps.size(); ++i) {
      const testing::TranscriptStep& step = test.steps[i];
      if (step.advance_sec != 0) {
        clock_.advance(step.advance_sec);
        let_the_server_see();
      }
      const std::string send = testing::fill_in(step.send, token);
      if (i == cut_step) {
        if (!client->send(std::string_view(send).substr(0, cut_at))) return "cannot send";
        let_the_server_see();
      }
      if (!client->send(std::string_view(send).substr(i == cut_step ? cut_at : 0))) return "cannot send";
      reply.clear();
      if (step.closes) {
        while (client->receive(reply)) continue;
      } else if (!step.expect.empty()) {
        while (!testing::matches(step.expect, reply, token) && client->receive(reply)) continue;
      }
      if (!testing::matches(step.expect, reply, token))
        return "step " + std::to_string(i) + " replied: " + reply.substr(0, 300);
      if (step.closes) return std::nullopt;
    }
    client->finish();
    reply.clear();
    while (client->receive(reply)) continue;
    if (!reply.empty()) return "replied more than expected: " + reply.substr(0, 300);
    return std::nullopt;
  }

  testing::FakeClock clock_;
  testing::FakeHost host_;
  Storage seg_;
  backend::memcache::ServerState state_;
  std::vector<std::unique_ptr<SegCache>> handles_;
  std::deque<MemcacheBackend> backends_;
  const core::Services services_{
      .thread_safe = GetParam().shared(), .make = [this] {
        handles_.push_back(handles_.empty() ? make_storage() : handles_.front()->share());
        MemcacheBackend& backend = backends_.emplace_back(*handles_.back(), state_, host_, clock_.now());
        return std::make_unique<core::ServiceFor<MemcacheBackend::Protocol, MemcacheBackend>>(backend);
      }};
  Folder folder_;
  Certificates certificates_{GetParam()};
  core::Process process_{Options(GetParam(), folder_.path + "/socket"), services_, clock_,
                         certificates_.credentials ? &*certificates_.credentials : nullptr};
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
  constexpr const char* kTransports[] = {"unix", "plain", "tls12", "tls13", "mtls"};
  return std::string(setup.param.engine) + "_" + setup.param.shape + "_" +
         kTransports[static_cast<std::size_t>(setup.param.transport)] +
         (setup.param.listeners == 1 ? "" : "_" + std::to_string(setup.param.listeners) + "_listeners");
}

std::vector<Setup> all_setups() {
  std::vector<Setup> setups;
#if defined(__SANITIZE_THREAD__)
  for (const char* engine : {"epoll"}) {  // ThreadSanitizer does not see what io_uring writes
#else
  for (const char* engine : {"epoll", "io_uring"}) {
#endif
    for (const char* shape : {"owned", "shared", "thread"}) {
      for (const Transport transport :
           {Transport::kUnix, Transport::kPlain, Transport::kTls12, Transport::kTls13, Transport::kMutualTls}) {
        setups.push_back({engine, shape, transport});
      }
    }
    setups.push_back({engine, "shared", Transport::kMutualTls, 2});
  }
  return setups;
}

INSTANTIATE_TEST_SUITE_P(All, TranscriptOverSockets, ::testing::ValuesIn(all_setups()), name_of);

}  // namespace
}  // namespace pelikan
