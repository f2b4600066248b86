// The echo server over real sockets, in a thread of its own: what comes back to the byte, cut anywhere; and peers that
// do not read, finish early or reset. It is ended through its descriptor, and must then end.
#include "tools/bench/echo_server.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

#include "net/loop.h"
#include "tools/bench/block_dialogue.h"
#include "tools/bench/load.h"

namespace pelikan::tools::bench {
namespace {

class Running {
 public:
  explicit Running(const EchoShape& shape)
      : stop_(::eventfd(0, 0)), server_("127.0.0.1", 0, shape, stop_.get()), thread_([this] { server_.run(); }) {}
  ~Running() {
    const std::uint64_t one = 1;
    EXPECT_EQ(::write(stop_.get(), &one, sizeof(one)), static_cast<ssize_t>(sizeof(one)));
  }
  [[nodiscard]] Target target() const { return parse_target(server_.name()); }
  [[nodiscard]] net::Fd connect() const { return net::connect_tcp(target().host, target().port); }

 private:
  net::Fd stop_;
  EchoServer server_;
  std::jthread thread_;
};

void send_all(const net::Fd& fd, std::string_view bytes) {
  ASSERT_EQ(::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
}

std::string receive(const net::Fd& fd, std::size_t bytes) {
  std::string out(bytes, '\0');
  const ssize_t got = ::recv(fd.get(), out.data(), bytes, MSG_WAITALL);
  out.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return out;
}

std::string times(std::size_t count, const std::string& block) {
  std::string out;
  for (; count > 0; --count) out += block;
  return out;
}

class EchoServerTest : public testing::Test {
 protected:
  void SetUp() override {
    if (net::choose_engine(net::Engine::kAuto).engine != net::Engine::kUring) GTEST_SKIP() << "no io_uring here";
  }
};

TEST_F(EchoServerTest, AnswersForSoManyBytes) {
  const std::string reply = echo_block(30);
  const Running server({.request_bytes = 7, .reply_bytes = 30});
  const net::Fd fd = server.connect();
  const net::Fd other = server.connect();
  send_all(fd, "1234567");
  EXPECT_EQ(receive(fd, 30), reply);
  send_all(other, "123");
  send_all(fd, std::string(20, 'x'));  // two, and six bytes of the next
  EXPECT_EQ(receive(fd, 60), reply + reply);
  send_all(fd, "x");
  EXPECT_EQ(receive(fd, 30), reply);
  send_all(other, "4567");
  EXPECT_EQ(receive(other, 30), reply);
}

TEST_F(EchoServerTest, WhatIsOwedIsSentAfterThePeerHasFinished) {
  for (const std::uint32_t reply_bytes : {1u, 1000u, 1'000'000u}) {
    const Running server({.request_bytes = 1, .reply_bytes = reply_bytes});
    const net::Fd fd = server.connect();
    send_all(fd, std::string(20, 'x'));
    ::shutdown(fd.get(), SHUT_WR);
    EXPECT_TRUE(receive(fd, std::size_t{20} * reply_bytes + 1) == times(20, echo_block(reply_bytes))) << reply_bytes;
  }
}

// Megabytes are owed to a peer that does not read. It is not read from: what it sends fills the kernel's buffers and no
// more, others are served meanwhile, and it gets all when it reads again.
TEST_F(EchoServerTest, ASlowReaderIsNotReadFrom) {
  constexpr std::uint32_t kReplyBytes = 100'003;
  const Running server({.request_bytes = 1, .reply_bytes = kReplyBytes});
  const net::Fd slow = server.connect();
  const std::string part(64 * 1024, 'x');
  std::size_t sent = 0;
  while (true) {
    const ssize_t taken = ::send(slow.get(), part.data(), part.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (taken < 0) {
      // Full: for now, or for good when the server, which has answered another meanwhile, has taken nothing.
      const net::Fd other = server.connect();
      send_all(other, "x");
      ASSERT_TRUE(receive(other, kReplyBytes) == echo_block(kReplyBytes));
      if (::send(slow.get(), part.data(), 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) break;
      sent += 1;
      continue;
    }
    sent += static_cast<std::size_t>(taken);
    ASSERT_LT(sent, std::size_t{256} << 20) << "the server goes on reading";
  }
  const std::string reply = echo_block(kReplyBytes);
  for (std::size_t i = 0; i < std::min<std::size_t>(sent, 300); ++i)
    ASSERT_TRUE(receive(slow, kReplyBytes) == reply) << "reply " << i;
}

TEST_F(EchoServerTest, PeersThatResetAreForgotten) {
  const Running server({.request_bytes = 10, .reply_bytes = 1'000'000});
  for (int i = 0; i < 200; ++i) {
    const net::Fd fd = server.connect();
    send_all(fd, std::string(static_cast<std::size_t>(i), 'x'));
    const linger reset{.l_onoff = i % 2, .l_linger = 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
  }
  const net::Fd fd = server.connect();
  send_all(fd, std::string(10, 'x'));
  EXPECT_TRUE(receive(fd, 1'000'000) == echo_block(1'000'000));
}

TEST_F(EchoServerTest, TheGeneratorAndTheServerUnderstandEachOther) {
  for (const EchoShape shape : {EchoShape{}, EchoShape{.request_bytes = 30, .reply_bytes = 10'000}}) {
    const Running server(shape);
    Options options;
    options.target = server.target();
    options.protocol = Protocol::kEcho;
    options.echo = shape;
    options.connections = 20;
    options.pipeline = 100;
    options.duration = std::chrono::milliseconds(100);
    const Tally tally = run(options);
    EXPECT_EQ(tally.errors(), 0u) << tally.first_trouble();
    EXPECT_GT(tally.requests, 0u);
  }
}

TEST_F(EchoServerTest, ATakenAddressIsToldAtOnce) {
  const Running server(EchoShape{});
  EXPECT_THROW(EchoServer("127.0.0.1", server.target().port, {}, 0), std::runtime_error);
}

}  // namespace
}  // namespace pelikan::tools::bench
