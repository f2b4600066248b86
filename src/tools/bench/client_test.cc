// Whole runs against a small server in this process, well-behaved or not, over TCP and a unix socket, with both
// engines. Each server is one thread that polls; a run is bounded by its own deadline, and no test asserts a speed.
#include "tools/bench/client.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <functional>
#include <map>
#include <string>
#include <thread>

#include "base/bytes.h"
#include "net/fd.h"
#include "net/socket.h"

namespace pelikan::tools::bench {
namespace {

// Takes what it understands off the input and appends the answers. False: close the connection now.
using Answer = std::function<bool(std::string& input, std::string& output)>;

class TinyServer {
 public:
  TinyServer(net::Listening listening, Answer answer)
      : listening_(std::move(listening)), answer_(std::move(answer)), thread_([this] { serve(); }) {}
  explicit TinyServer(Answer answer) : TinyServer(net::listen_tcp("127.0.0.1", 0, 128), std::move(answer)) {}
  ~TinyServer() {
    stop_ = true;
    thread_.join();
  }
  TinyServer(const TinyServer&) = delete;
  TinyServer& operator=(const TinyServer&) = delete;
  [[nodiscard]] Target target() const { return parse_target(listening_.name); }

 private:
  void serve() {
    std::map<int, std::pair<net::Fd, std::string>> connections;  // with the input not yet understood
    while (!stop_) {
      std::vector<pollfd> polled{{listening_.fd.get(), POLLIN, 0}};
      for (const auto& [fd, connection] : connections) polled.push_back({fd, POLLIN, 0});
      ::poll(polled.data(), polled.size(), 10);
      if ((polled[0].revents & POLLIN) != 0) {
        net::Fd fd(::accept4(listening_.fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (fd) connections[fd.get()].first = std::move(fd);
      }
      for (std::size_t i = 1; i < polled.size(); ++i) {
        if (polled[i].revents != 0 && !talk(polled[i].fd, connections[polled[i].fd].second))
          connections.erase(polled[i].fd);
      }
    }
  }
  bool talk(int fd, std::string& input) {
    char bytes[16384];
    const ssize_t count = ::recv(fd, bytes, sizeof bytes, 0);
    if (count <= 0) return false;
    input.append(bytes, static_cast<std::size_t>(count));
    std::string output;
    const bool go_on = answer_(input, output);
    return ::send(fd, output.data(), output.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(output.size()) && go_on;
  }

  net::Listening listening_;
  Answer answer_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

// Just enough of memcached.
class TinyCache {
 public:
  bool operator()(std::string& input, std::string& output) {
    while (true) {
      const std::size_t line_bytes = input.find("\r\n");
      if (line_bytes == std::string::npos) return true;
      const std::string line = input.substr(0, line_bytes);
      const std::size_t key_begin = line.find(' ') + 1;
      const std::string key = line.substr(key_begin, line.find(' ', key_begin) - key_begin);
      std::size_t used = line_bytes + 2;
      if (line.starts_with("get ")) {
        const auto found = values_.find(key);
        if (found != values_.end())
          output += "VALUE " + key + " 0 " + std::to_string(found->second.size()) + "\r\n" + found->second + "\r\n";
        output += "END\r\n";
      } else if (line.starts_with("delete ")) {
        output += values_.erase(key) > 0 ? "DELETED\r\n" : "NOT_FOUND\r\n";
      } else {
        const std::size_t bytes = std::stoul(line.substr(line.rfind(' ')));
        if (input.size() < used + bytes + 2) return true;
        values_[key] = input.substr(used, bytes);
        used += bytes + 2;
        output += "STORED\r\n";
      }
      input.erase(0, used);
    }
  }

 private:
  std::map<std::string, std::string> values_;
};

Options small(const TinyServer& server) {
  Options options;
  options.target = server.target();
  options.engine = net::Engine::kEpoll;
  options.connections = 4;
  options.pipeline = 8;
  options.duration = std::chrono::milliseconds(50);
  options.keys = 100;
  options.key_bytes = 12;
  return options;
}

TEST(Client, FillsAndMeasures) {
  const TinyServer server{TinyCache{}};
  for (const net::Engine engine : {net::Engine::kEpoll, net::Engine::kAuto}) {
    Options options = small(server);
    options.engine = engine;
    options.fill = true;
    const Tally tally = Client(options).run();
    EXPECT_EQ(tally.errors(), 0u) << tally.table();
    EXPECT_GT(tally.requests, 0u);
    EXPECT_EQ(tally.misses, 0u);
    EXPECT_GT(tally.hits, 0u);
    EXPECT_GT(tally.seconds, 0.0);
  }
}

TEST(Client, MissesAndDeletes) {
  const TinyServer server{TinyCache{}};
  Options options = small(server);
  options.ratio = {50, 25, 25};
  options.zipf_exponent = 1;
  const Tally tally = Client(options).run();
  EXPECT_EQ(tally.errors(), 0u) << tally.table();
  EXPECT_GT(tally.misses, 0u);
  EXPECT_GT(tally.hits, 0u);
}

TEST(Client, LargeValuesOverAUnixSocket) {
  const std::string path = testing::TempDir() + "bench." + std::to_string(getpid()) + ".sock";
  const TinyServer server(net::listen_unix(path, 0600, 16), TinyCache{});
  Options options = small(server);
  EXPECT_EQ(options.target.unix_path, path);
  options.keys = 4;
  options.pipeline = 1;
  options.value_bytes = 300'000;
  options.ratio = {50, 50, 0};
  const Tally tally = Client(options).run();
  unlink(path.c_str());
  EXPECT_EQ(tally.errors(), 0u) << tally.table();
  EXPECT_GT(tally.requests, 0u);
}

TEST(Client, Ping) {
  const TinyServer server([](std::string& input, std::string& output) {
    for (; input.starts_with("PING\r\n"); input.erase(0, 6)) output += "PONG\r\n";
    return true;
  });
  Options options = small(server);
  options.protocol = Protocol::kPing;
  const Tally tally = Client(options).run();
  EXPECT_EQ(tally.errors(), 0u) << tally.table();
  EXPECT_GT(tally.requests, 0u);
}

TEST(Client, NobodyListens) {
  Options options;
  {
    const TinyServer server{TinyCache{}};
    options = small(server);
  }
  const Tally tally = Client(options).run();
  EXPECT_EQ(tally.requests, 0u);
  EXPECT_EQ(tally.errors(Trouble::kNotConnected), 4u);
  EXPECT_NE(tally.first_trouble(), "");
}

TEST(Client, TargetsThatMisbehave) {
  const struct {
    const char* name;
    Trouble trouble;
    Answer answer;
  } rows[] = {
      {"closes at once", Trouble::kLost, [](std::string&, std::string&) { return false; }},
      {"closes in mid reply", Trouble::kLost,
       [](std::string&, std::string& output) {
         output = "VALUE 0000";
         return false;
       }},
      {"answers garbage", Trouble::kGarbage,
       [](std::string&, std::string& output) {
         output = "HTTP/1.1 400 Bad Request\r\n\r\n";
         return true;
       }},
      {"never answers", Trouble::kUnanswered,
       [](std::string& input, std::string&) {
         input.clear();
         return true;
       }},
      {"always refuses", Trouble::kRefused,
       [](std::string& input, std::string& output) {
         for (std::size_t end = input.find('\n'); end != std::string::npos; end = input.find('\n')) {
           input.erase(0, end + 1);
           output += "SERVER_ERROR busy\r\n";
         }
         return true;
       }},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    const TinyServer server(row.answer);
    Options options = small(server);
    options.ratio = {1, 0, 0};
    const Tally tally = Client(options).run();
    EXPECT_GT(tally.errors(row.trouble), 0u) << tally.table();
    EXPECT_EQ(tally.errors(), tally.errors(row.trouble)) << tally.table();
    EXPECT_EQ(tally.hits + tally.misses, 0u);
  }
}

}  // namespace
}  // namespace pelikan::tools::bench
