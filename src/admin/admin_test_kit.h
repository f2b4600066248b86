// For the tests of the admin port: a server on a free port, and a client that waits for bytes or for an end, in plain
// text or over TLS. Owner and thread: the test.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "admin/admin.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "net/tls/context.h"
#include "net/tls/credentials.h"

namespace pelikan::admin {

constexpr int kClientTimeoutSec = 20;  // a hang becomes a failure
// For idle_timeout where a test waits for its end, but must have connected and sent something before.
constexpr std::chrono::seconds kShortTimeout{2};

class Client {
 public:
  explicit Client(const std::string& address) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const timeval timeout{kClientTimeoutSec, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(parse_decimal<std::uint16_t>(address.substr(address.rfind(':') + 1)).value());
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  }
  // Over TLS: does the handshake. `context` null: plain text. `cut`: sends every byte by itself.
  Client(const std::string& address, const net::tls::ClientContext* context, bool cut = false) : Client(address) {
    cut_ = cut;
    if (!context) return;
    tls_ = context->connect("localhost", true);
    net::tls::Session::Progress progress = tls_->handshake(received_, wire_);
    for (flush(); progress == net::tls::Session::Progress::kMore && receive(); flush())
      progress = tls_->handshake(received_, wire_);
    secure_ = progress == net::tls::Session::Progress::kDone;
  }
  ~Client() {
    if (secure_) end();  // OpenSSL forgets the ticket of a session that did not end
    ::close(fd_);
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] bool secure() const { return secure_; }                // is the handshake done?
  [[nodiscard]] bool closed_by_tls() const { return closed_by_tls_; }  // the server has sent close_notify
  [[nodiscard]] const net::tls::Session& tls() const { return *tls_; }

  void send(std::string_view bytes) {
    if (!tls_) return send_raw(bytes);
    if (secure_ && tls_->send(bytes, wire_)) flush();
  }
  void send_raw(std::string_view bytes) const { (void)!::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  void end() {
    if (secure_) tls_->finish(wire_);
    flush();
    ::shutdown(fd_, SHUT_WR);
  }
  // Until `ending` has come; everything there is when the connection ends before.
  std::string read_to(std::string_view ending) {
    std::string text;
    while (!text.ends_with(ending) && (!plain_.empty() || read())) {
      text += plain_.front();
      plain_.remove_prefix(1);
    }
    return text;
  }
  // Until the server closes.
  std::string read_all() {
    std::string text;
    do text += std::exchange(plain_, {});
    while (read());
    return text;
  }

 private:
  bool receive() {
    const ssize_t size = ::recv(fd_, bytes_, sizeof bytes_, 0);
    received_ = {bytes_, size > 0 ? static_cast<std::size_t>(size) : 0};
    return size > 0;
  }
  bool read() {
    if (!tls_) {
      if (!receive()) return false;
      plain_ = received_;
      return true;
    }
    while (secure_) {
      const net::tls::Session::Progress progress = tls_->receive(received_, scratch_, plain_, wire_);
      flush();
      if (!plain_.empty()) return true;
      closed_by_tls_ = progress == net::tls::Session::Progress::kDone;
      if (progress != net::tls::Session::Progress::kMore || !receive()) break;
    }
    if (secure_ && closed_by_tls_) end();
    secure_ = false;
    return false;
  }
  void flush() {
    for (; cut_ && !wire_.empty(); wire_.consume(1)) send_raw(wire_.view().substr(0, 1));
    send_raw(wire_.view());
    wire_.clear();
  }

  int fd_;
  bool connected_ = false;
  bool cut_ = false;
  bool secure_ = false;
  bool closed_by_tls_ = false;
  char bytes_[4096];
  char scratch_[net::tls::Session::kPlainBytesMax];
  std::string_view received_;  // of bytes_
  std::string_view plain_;     // read, but not asked for
  BufferPool pool_{std::size_t{1} << 20};
  Buffer wire_{pool_};
  std::unique_ptr<net::tls::Session> tls_;
};

inline Hooks plain_hooks() {
  return {.version = "1.2.3", .facts = {{"engine", "epoll"}}, .flush_all = {}, .segments = {}, .reload_tls = {}};
}

class Running {
 public:
  explicit Running(Hooks hooks = plain_hooks(), std::chrono::milliseconds timeout = std::chrono::seconds(10),
                   const net::tls::Credentials* credentials = nullptr)
      : server_(options(timeout, credentials != nullptr), std::move(hooks), credentials) {}
  AdminServer& operator*() { return server_; }
  AdminServer* operator->() { return &server_; }
  // One connection: all of `bytes`, then everything until it ends.
  std::string talk(std::string_view bytes, const net::tls::ClientContext* context = nullptr) {
    Client client(server_.address(), context);
    client.send(bytes);
    client.end();
    return client.read_all();
  }
  std::string get(const std::string& target, const net::tls::ClientContext* context = nullptr) {
    return talk("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n", context);
  }

 private:
  static const AdminOptions& options(std::chrono::milliseconds timeout, bool use_tls) {
    static AdminOptions instance;
    instance.port.set(0);
    instance.idle_timeout.set(timeout);
    instance.use_tls.set(use_tls);
    return instance;
  }
  AdminServer server_;
};

inline std::string body_of(const std::string& response) { return response.substr(response.find("\r\n\r\n") + 4); }

}  // namespace pelikan::admin
