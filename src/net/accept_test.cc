// Listening sockets in a loop: many at once, several sockets, pausing, and running out of descriptors (in a child
// process, whose limit can be lowered without harm).
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <deque>

#include "net/loop_test_kit.h"

namespace pelikan::net {
namespace {

using namespace testing;

class Collector : public Acceptor {
 public:
  void on_accept(Fd fd) override { accepted.push_back(std::move(fd)); }
  void on_accept_error(int error) override { errors.push_back(error); }

  std::deque<Fd> accepted;
  std::vector<int> errors;
};

std::uint16_t port_of(const Listening& listening) {
  return static_cast<std::uint16_t>(std::stoi(listening.name.substr(listening.name.rfind(':') + 1)));
}

class AcceptTest : public ::testing::TestWithParam<Engine> {
 protected:
  static std::unique_ptr<Loop> make() {
    LoopOptions options;
    options.engine = GetParam();
    return make_loop(options);
  }
};

INSTANTIATE_TEST_SUITE_P(All, AcceptTest, ::testing::ValuesIn(engines()), engine_name);

TEST_P(AcceptTest, AcceptsFromSeveralSockets) {
  const Listening tcp = listen_tcp("127.0.0.1", 0, 512);
  const std::string path = temporary_path();
  const Listening local = listen_unix(path, 0600, 512);
  Collector tcp_side;
  Collector local_side;
  const auto loop = make();
  loop->listen(tcp_side, tcp.fd.get());
  loop->listen(local_side, local.fd.get());
  std::vector<Fd> clients;
  for (int i = 0; i < 200; ++i) {
    clients.push_back(connect_tcp("127.0.0.1", port_of(tcp)));
    clients.push_back(connect_unix(path));
  }
  run_until(*loop, [&] { return tcp_side.accepted.size() == 200 && local_side.accepted.size() == 200; });
  EXPECT_TRUE(tcp_side.errors.empty() && local_side.errors.empty());
  int no_delay = 0;
  socklen_t length = sizeof(no_delay);
  ::getsockopt(tcp_side.accepted.back().get(), IPPROTO_TCP, TCP_NODELAY, &no_delay, &length);
  EXPECT_NE(no_delay, 0) << "inherited from the listening socket";
  EXPECT_NE(::fcntl(tcp_side.accepted.back().get(), F_GETFD) & FD_CLOEXEC, 0);
  ::unlink(path.c_str());
}

TEST_P(AcceptTest, PausedAcceptLeavesConnectionsInTheBacklog) {
  const Listening tcp = listen_tcp("127.0.0.1", 0, 64);
  Collector collector;
  const auto loop = make();
  loop->listen(collector, tcp.fd.get());
  turn(*loop);
  loop->pause_accept();
  for (int i = 0; i < 3; ++i) turn(*loop);
  std::vector<Fd> clients;
  for (int i = 0; i < 10; ++i) clients.push_back(connect_tcp("127.0.0.1", port_of(tcp)));
  for (int i = 0; i < 5; ++i) turn(*loop);
  EXPECT_TRUE(collector.accepted.empty());
  loop->resume_accept();
  run_until(*loop, [&] { return collector.accepted.size() == 10; });
  loop->pause_accept();
  loop->resume_accept();
  clients.push_back(connect_tcp("127.0.0.1", port_of(tcp)));
  run_until(*loop, [&] { return collector.accepted.size() == 11; });
}

// Runs in the child. Returns 0 when the loop told of EMFILE once, went on serving, and accepted again when there was
// room.
int survive_lack_of_descriptors(Engine engine) {
  const Listening tcp = listen_tcp("127.0.0.1", 0, 64);
  Collector collector;
  LoopOptions options;
  options.engine = engine;
  const auto loop = make_loop(options);
  loop->listen(collector, tcp.fd.get());
  auto [ours, theirs] = connect_ends(Transport::kPair);
  Recorder stream(*loop);
  loop->attach(stream, std::move(ours));
  std::vector<Fd> clients;
  for (int i = 0; i < 10; ++i) clients.push_back(connect_tcp("127.0.0.1", port_of(tcp)));
  // Before the first turn: io_uring keeps the limit that held when the accept was submitted.
  const Fd highest(::dup(tcp.fd.get()));
  const rlimit limit{static_cast<rlim_t>(highest.get() + 4), static_cast<rlim_t>(highest.get() + 4)};
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 1;
  if (!run_until(*loop, [&] { return !collector.errors.empty(); })) return 2;
  if (collector.errors != std::vector{EMFILE} || collector.accepted.size() >= 10) return 3;
  for (int i = 0; i < 5; ++i) turn(*loop);
  if (collector.errors.size() != 1) return 4;
  peer_write(theirs, "still there");
  if (!run_until(*loop, [&] { return stream.data == "still there"; })) return 5;
  std::size_t served = 0;
  for (int round = 0; round < 20 && served < 10; ++round) {
    served += collector.accepted.size();
    collector.accepted.clear();
    collector.errors.clear();
    loop->resume_accept();
    run_until(*loop, [&] { return !collector.errors.empty() || served + collector.accepted.size() >= 10; });
    served += std::exchange(collector.accepted, {}).size();
  }
  return served == 10 ? 0 : 6;
}

TEST_P(AcceptTest, SurvivesLackOfDescriptors) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) ::_exit(survive_lack_of_descriptors(GetParam()));
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_P(AcceptTest, AListeningSocketThatDoesNotListenIsAnError) {
  const Fd plain(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  Collector collector;
  const auto loop = make();
  loop->listen(collector, plain.get());
  run_until(*loop, [&] { return !collector.errors.empty(); });
  EXPECT_EQ(collector.errors, std::vector{EINVAL});
}

}  // namespace
}  // namespace pelikan::net
