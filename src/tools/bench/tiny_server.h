// A small server in the test's own process, well-behaved or not, plain or TLS: one thread that polls. And options for a
// short run against it.
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "net/fd.h"
#include "net/socket.h"
#include "net/tls/context.h"
#include "net/tls/session.h"
#include "tools/bench/options.h"

namespace pelikan::tools::bench {

// Takes what it understands off the input and appends the answers. False: close the connection now.
using Answer = std::function<bool(std::string& input, std::string& output)>;

class TinyServer {
 public:
  // With a context it speaks TLS; it sends in pieces of at most `piece_bytes`.
  TinyServer(net::Listening listening, Answer answer, std::shared_ptr<const net::tls::Context> tls = nullptr,
             std::size_t piece_bytes = 1 << 20)
      : listening_(std::move(listening)),
        answer_(std::move(answer)),
        tls_(std::move(tls)),
        piece_bytes_(piece_bytes),
        thread_([this] { serve(); }) {}
  explicit TinyServer(Answer answer, std::shared_ptr<const net::tls::Context> tls = nullptr,
                      std::size_t piece_bytes = 1 << 20)
      : TinyServer(net::listen_tcp("127.0.0.1", 0, 128), std::move(answer), std::move(tls), piece_bytes) {}
  ~TinyServer() {
    stop_ = true;
    thread_.join();
  }
  TinyServer(const TinyServer&) = delete;
  TinyServer& operator=(const TinyServer&) = delete;
  [[nodiscard]] Target target() const { return parse_target(listening_.name); }

 private:
  struct Peer {
    net::Fd fd;
    std::string input;  // not yet understood
    std::unique_ptr<net::tls::Session> session;
    bool established = false;
  };

  void serve() {
    std::map<int, Peer> peers;
    while (!stop_) {
      std::vector<pollfd> polled{{listening_.fd.get(), POLLIN, 0}};
      for (const auto& [fd, peer] : peers) polled.push_back({fd, POLLIN, 0});
      ::poll(polled.data(), polled.size(), 10);
      if ((polled[0].revents & POLLIN) != 0) {
        net::Fd fd(::accept4(listening_.fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
        const int number = fd.get();
        if (fd) peers[number] = {std::move(fd), {}, tls_ ? tls_->accept() : nullptr};
      }
      for (std::size_t i = 1; i < polled.size(); ++i) {
        if (polled[i].revents != 0 && !talk(peers[polled[i].fd])) peers.erase(polled[i].fd);
      }
    }
  }
  // False: close.
  bool talk(Peer& peer) {
    char bytes[16384];
    const ssize_t count = ::recv(peer.fd.get(), bytes, sizeof bytes, 0);
    if (count <= 0) return false;
    Buffer wire(pool_);
    bool go_on = receive(peer, {bytes, static_cast<std::size_t>(count)}, wire);
    std::string output;
    if (go_on && peer.established) {
      go_on = answer_(peer.input, output);
      if (peer.session == nullptr)
        wire.append(output);
      else if (!output.empty() && !peer.session->send(output, wire))
        return false;
    }
    for (std::string_view rest = wire.view(); !rest.empty(); rest.remove_prefix(std::min(rest.size(), piece_bytes_))) {
      const std::size_t piece = std::min(rest.size(), piece_bytes_);
      if (::send(peer.fd.get(), rest.data(), piece, MSG_NOSIGNAL) != static_cast<ssize_t>(piece)) return false;
    }
    return go_on;
  }
  // False: the client has finished, or is not let in.
  bool receive(Peer& peer, std::string_view bytes, Buffer& wire) {
    using Progress = net::tls::Session::Progress;
    if (peer.session == nullptr) {
      peer.established = true;
      peer.input += bytes;
      return true;
    }
    if (!peer.established) {
      const Progress progress = peer.session->handshake(bytes, wire);
      if (progress != Progress::kDone) return progress == Progress::kMore;
      peer.established = true;
    }
    while (true) {
      std::string_view plain;
      if (peer.session->receive(bytes, scratch_, plain, wire) != Progress::kMore) return false;
      if (plain.empty()) return true;
      peer.input += plain;
    }
  }

  net::Listening listening_;
  Answer answer_;
  std::shared_ptr<const net::tls::Context> tls_;
  std::size_t piece_bytes_;
  BufferPool pool_{std::size_t{1} << 30};
  std::array<char, net::tls::Session::kPlainBytesMax> scratch_{};
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

// Answers pings; nothing before one connection has asked `at_once` times.
class TinyPing {
 public:
  explicit TinyPing(std::size_t at_once) : at_once_(at_once) {}
  bool operator()(std::string& input, std::string& output) {
    if (input.size() >= at_once_ * 6) at_once_ = 0;
    if (at_once_ > 0) return true;
    for (; input.starts_with("PING\r\n"); input.erase(0, 6)) output += "PONG\r\n";
    return true;
  }

 private:
  std::size_t at_once_;
};

inline Options small(const TinyServer& server) {
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

}  // namespace pelikan::tools::bench
