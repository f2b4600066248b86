// The admin port over real sockets: a table of (bytes sent, reply), limits, slow and rude clients, answers from other
// threads. Every test has its own server on a free port. Nothing sleeps: a test waits for bytes or for an end.
#include "admin/admin.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "admin/admin_test_kit.h"
#include "base/bytes.h"

namespace pelikan::admin {
namespace {

TEST(Admin, TextCommands) {
  Running server;
  EXPECT_TRUE(server->address().starts_with("127.0.0.1:")) << server->address();
  EXPECT_EQ(server.talk("version\r\n"), "VERSION 1.2.3\r\n");
  EXPECT_EQ(server.talk("  version \n"), "VERSION 1.2.3\r\n");
  EXPECT_EQ(server.talk("quit\r\nversion\r\n"), "");
  EXPECT_EQ(server.talk("nonsense\r\nversion\n\nversion\r\n"), "ERROR\r\nVERSION 1.2.3\r\nERROR\r\nVERSION 1.2.3\r\n");
  EXPECT_EQ(server.talk("flush_all\r\nstats segments\r\n"), "ERROR\r\nERROR\r\n");
  EXPECT_EQ(server.talk("version"), "");
  const std::string stats = server.talk("stats\r\n");
  EXPECT_TRUE(stats.starts_with("STAT ")) << stats;
  EXPECT_TRUE(stats.ends_with("\r\nEND\r\n")) << stats;
  for (const char* line : {"STAT pid ", "STAT engine epoll\r\n", "STAT ru_utime ", "STAT admin_session_curr 1\r\n"}) {
    EXPECT_NE(stats.find(line), std::string::npos) << line;
  }
}

TEST(Admin, TextCutAtEveryByte) {
  Running server;
  constexpr std::string_view kBytes = "version\r\nbad\nquit\r\n";
  Client client(server->address());
  for (const char c : kBytes) client.send({&c, 1});
  EXPECT_EQ(client.read_all(), "VERSION 1.2.3\r\nERROR\r\n");
}

TEST(Admin, HttpPages) {
  Running server;
  const std::string index = server.get("/");
  EXPECT_TRUE(index.starts_with("HTTP/1.1 200 OK\r\n")) << index;
  for (const char* link : {"\"/metrics\"", "\"/vars.json\"", "\"/healthz\"", "\"/readyz\""}) {
    EXPECT_NE(index.find(link), std::string::npos);
  }
  EXPECT_EQ(body_of(server.get("/healthz")), "ok\n");
  EXPECT_TRUE(server.get("/readyz").starts_with("HTTP/1.1 503 "));
  server->set_ready(true);
  EXPECT_EQ(body_of(server.get("/readyz?verbose")), "ready\n");
  server->set_ready(false);
  EXPECT_TRUE(server.get("/readyz").starts_with("HTTP/1.1 503 "));
  const std::string prometheus = server.get("/metrics");
  EXPECT_NE(prometheus.find("Content-Type: text/plain; version=0.0.4"), std::string::npos);
  EXPECT_NE(prometheus.find("\npelikan_info{engine=\"epoll\"} 1\n"), std::string::npos);
  EXPECT_NE(prometheus.find("\n# TYPE ru_utime_total counter\n"), std::string::npos);
  const auto vars = nlohmann::json::parse(body_of(server.get("/vars.json")));
  EXPECT_EQ(vars["pid"], ::getpid());
  EXPECT_EQ(vars["engine"], "epoll");
  EXPECT_TRUE(server.get("/nothing").starts_with("HTTP/1.1 404 "));
}

TEST(Admin, HttpHeadKeepAliveAndRefusals) {
  Running server;
  const std::string head = server.talk("HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(head.find("Content-Length: 3\r\n"), std::string::npos) << head;
  EXPECT_EQ(body_of(head), "");
  Client client(server->address());
  for (int i = 0; i < 3; ++i) {
    client.send("GET /healthz HTTP/1.1\r\n\r\n");
    EXPECT_TRUE(client.read_to("ok\n").ends_with("ok\n"));
  }
  struct Row {
    std::string bytes;
    const char* status;
  };
  const Row rows[] = {
      {"POST / HTTP/1.1\r\nContent-Length: 11\r\n\r\nflush_all\r\n", "HTTP/1.1 405 "},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nflush_all\r\n\r\n0\r\n\r\n", "HTTP/1.1 405 "},
      {"DELETE /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 405 "},
      {"OPTIONS * HTTP/1.1\r\n\r\n", "HTTP/1.1 405 "},
      {"GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 413 "},
      {"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 400 "},
      {"GET /\r\n\r\n", "HTTP/1.1 400 "},
      {"GET / HTTP/9.9\r\n\r\n", "HTTP/1.1 400 "},
      {"GET / HTTP/1.1\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n", "HTTP/1.1 431 "},
      {"GET /" + std::string(20'000, 'x') + " HTTP/1.1\r\n\r\n", "HTTP/1.1 431 "},
      {"GET /healthz HTTP/1.0\r\n\r\n", "HTTP/1.0 200 "},
  };
  for (const Row& row : rows) {
    const std::string response = server.talk(row.bytes);
    EXPECT_TRUE(response.starts_with(row.status)) << row.bytes.substr(0, 80) << " -> " << response.substr(0, 80);
    EXPECT_EQ(response.find("HTTP/", 1), std::string::npos) << "one response only";
  }
}

TEST(Admin, LongLinesAndNoiseAreRefused) {
  Running server;
  EXPECT_EQ(server.talk(std::string(1024, 'x')), "ERROR line too long\r\n");
  std::string noise("\x00\xff\x80\x16\x03\x01\n", 7);
  EXPECT_EQ(server.talk(noise), "ERROR\r\n");
  EXPECT_EQ(server.talk("version\n"), "VERSION 1.2.3\r\n");
}

TEST(Admin, ThousandPipelinedCommandsAreAnsweredOneByOne) {
  Running server;
  std::string commands, expected;
  for (int i = 0; i < 1000; ++i) {
    commands += "version\n";
    expected += "VERSION 1.2.3\r\n";
  }
  EXPECT_EQ(server.talk(commands), expected);
}

TEST(Admin, FlushAllIsAcknowledgedAfterItsEffect) {
  std::mutex mutex;
  std::condition_variable asked;
  std::deque<std::function<void()>> waiting;
  Hooks hooks = plain_hooks();
  hooks.flush_all = [&](std::function<void()> done) {
    const std::lock_guard lock(mutex);
    waiting.push_back(std::move(done));
    asked.notify_one();
  };
  Running server(std::move(hooks));
  bool flushed = false;
  std::thread worker([&] {
    std::unique_lock lock(mutex);
    asked.wait(lock, [&] { return !waiting.empty(); });
    flushed = true;
    waiting.front()();
    waiting.front()();  // a second call is harmless
  });
  Client client(server->address());
  client.send("flush_all\r\nversion\r\n");
  EXPECT_EQ(client.read_to("OK\r\n"), "OK\r\n");
  EXPECT_TRUE(flushed);
  EXPECT_EQ(client.read_to("\n"), "VERSION 1.2.3\r\n");
  worker.join();
}

TEST(Admin, AnAnswerThatNeverComesIsTold) {
  std::function<void()> kept;
  {
    Hooks hooks = plain_hooks();
    hooks.flush_all = [&](std::function<void()> done) { kept = std::move(done); };
    Running server(std::move(hooks), kShortTimeout);
    EXPECT_EQ(server.talk("flush_all\r\n"), "SERVER_ERROR not done in time\r\n");
    kept();
  }
  kept();  // and it may come when the port is gone
}

TEST(Admin, SegmentsReport) {
  Hooks hooks = plain_hooks();
  hooks.segments = [](const std::function<void(std::string)>& answer) { answer("STAT 1 free\r\n"); };
  Running server(std::move(hooks));
  EXPECT_EQ(server.talk("stats segments\r\n"), "STAT 1 free\r\nEND\r\n");
}

TEST(Admin, MemoryReport) {
  Running server(plain_hooks());
  const std::string report = server.talk("stats memory\r\n");
  EXPECT_TRUE(report.starts_with("STAT heap 0\r\nSTAT index 0\r\n")) << report;
  EXPECT_NE(report.find("STAT resident "), std::string::npos) << report;
  EXPECT_TRUE(report.ends_with("\r\nEND\r\n")) << report;
}

TEST(Admin, AHookThatThrowsEndsOnlyItsSession) {
  Hooks hooks = plain_hooks();
  hooks.segments = [](const auto&) { throw std::runtime_error("no report"); };
  Running server(std::move(hooks));
  EXPECT_EQ(server.talk("stats segments\r\n"), "");
  EXPECT_EQ(server.talk("version\r\n"), "VERSION 1.2.3\r\n");
}

TEST(Admin, SilentClientsAreClosed) {
  Running server(plain_hooks(), std::chrono::milliseconds(50));
  for (const char* beginning : {"", "GE", "vers", "GET / HTTP/1.1\r\nX: "}) {
    Client client(server->address());
    client.send(beginning);
    EXPECT_EQ(client.read_all(), "") << beginning;
  }
}

TEST(Admin, ConnectionsAreLimited) {
  Running server;
  std::deque<Client> clients;
  for (std::size_t i = 0; i < AdminServer::kMaxSessions; ++i) {
    Client& client = clients.emplace_back(server->address());
    client.send("version\n");
    EXPECT_EQ(client.read_to("\n"), "VERSION 1.2.3\r\n");
  }
  Client refused(server->address());
  EXPECT_EQ(refused.read_all(), "");
  clients.front().send("quit\n");
  EXPECT_EQ(clients.front().read_all(), "");
  clients.pop_front();
  clients.back().send("version\n");
  EXPECT_EQ(clients.back().read_to("\n"), "VERSION 1.2.3\r\n");
}

TEST(Admin, StoppingClosesWhateverIsOpen) {
  std::function<void()> kept;
  Hooks hooks = plain_hooks();
  std::mutex mutex;
  std::condition_variable asked;
  hooks.flush_all = [&](std::function<void()> done) {
    const std::lock_guard lock(mutex);
    kept = std::move(done);
    asked.notify_one();
  };
  Running server(std::move(hooks));
  Client idle(server->address()), half(server->address()), waiting(server->address());
  half.send("GET / HT");
  waiting.send("flush_all\n");
  {
    std::unique_lock lock(mutex);
    asked.wait(lock, [&] { return kept != nullptr; });
  }
  server->stop();
  server->stop();
  EXPECT_EQ(idle.read_all(), "");
  EXPECT_EQ(half.read_all(), "");
  EXPECT_EQ(Client(server->address()).connected(), false);
}

TEST(Admin, AClientThatDoesNotReadHarmsNobody) {
  Running server(plain_hooks(), kShortTimeout);
  Client deaf(server->address());
  std::string commands;
  for (int i = 0; i < 2000; ++i) commands += "stats\n";
  deaf.send(commands);
  EXPECT_EQ(server.talk("version\n"), "VERSION 1.2.3\r\n");
}

TEST(Admin, BadAddressesAreOneClearLine) {
  Running first;
  struct Row {
    const char* host;
    std::uint64_t port;
    bool tls;
    const char* message;
  };
  const std::uint64_t taken =
      parse_decimal<std::uint64_t>(first->address().substr(first->address().rfind(':') + 1)).value();
  for (const Row& row : {Row{"127.0.0.1", taken, false, "Address already in use"},
                         Row{"no such host", 0, false, "admin.host"}, Row{"127.0.0.1", 0, true, "admin.use_tls"}}) {
    AdminOptions options;
    options.host.set(row.host);
    options.port.set(row.port);
    options.use_tls.set(row.tls);
    try {
      const AdminServer server(options, plain_hooks());
      ADD_FAILURE() << row.message;
    } catch (const std::exception& error) {
      EXPECT_NE(std::string_view(error.what()).find(row.message), std::string_view::npos) << error.what();
      EXPECT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos) << error.what();
    }
  }
}

TEST(Admin, PromtoolAcceptsTheMetrics) {
  struct Everything : metrics::Group {
    metrics::Counter get{this, "test_get", "gets, \"quoted\" \\ and so on"};
    metrics::Counter total{this, "test_event_total", "events"};
    metrics::Gauge open{this, "test_open", "open things"};
    metrics::Histogram latency{this, "test_latency", "how long"};
    metrics::Histogram depth{this, "test_depth", "how deep", metrics::Unit::kPlain};
  } everything;
  everything.get.add(3);
  everything.open.add(-1);
  for (std::uint64_t i = 0; i < 45; ++i) everything.latency.record(std::uint64_t{1} << i);
  everything.depth.record(7);
  Running server;
  const std::string file = testing::TempDir() + fmt::format("pelikan_metrics_{}", ::getpid());
  std::ofstream(file) << body_of(server.get("/metrics"));
  const int status = std::system(fmt::format("promtool check metrics < {0} > {0}.out 2>&1", file).c_str());
  std::stringstream complaints;
  complaints << std::ifstream(file + ".out").rdbuf();
  EXPECT_EQ(status, 0) << complaints.str();
  EXPECT_EQ(complaints.str(), "");
  std::remove(file.c_str());
  std::remove((file + ".out").c_str());
}

}  // namespace
}  // namespace pelikan::admin
