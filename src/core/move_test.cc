// Sessions that are moved from worker to worker while their clients talk: no reply is lost, doubled or out of order,
// and nothing stays behind; with a storage thread and without, over both engines.
#include <random>

#include "core/workers_test_kit.h"
#include "net/tls/tls_test_kit.h"

namespace pelikan::core {
namespace {

class MoveTest : public WorkersTest {
 protected:
  // Moves everything that works here to the other worker.
  void move_all(std::size_t from, std::size_t to) {
    workers_[from]->post([this, from, to] { workers_[from]->give_away(*workers_[to], 1.0, kConnectionsMax); });
  }
  [[nodiscard]] std::uint64_t moved() const {
    std::uint64_t sum = 0;
    for (const auto& worker : workers_) sum += worker->metrics().session_moved.value();
    return sum;
  }
  void talk_while_moving();
};

void MoveTest::talk_while_moving() {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  constexpr int kClients = 8;
  std::atomic<int> talking{kClients};
  std::atomic<int> failed{0};
  std::vector<std::jthread> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back([this, &talking, &failed, i, seed] {
      std::mt19937 random(seed + static_cast<unsigned>(i));
      const auto fd = connect();
      int number = 0;
      for (int round = 0; round < 400; ++round) {
        std::string requests;
        for (std::size_t count = 1 + random() % 200; count > 0; --count) {
          requests += std::to_string(i) + "." + std::to_string(number++) + "\n";
        }
        const std::size_t cut = random() % (requests.size() + 1);
        if (!send(*fd, requests.substr(0, cut)) || !send(*fd, requests.substr(cut))) ++failed;
        if (receive(*fd, requests.size()) != requests) ++failed;
      }
      --talking;
    });
  }
  for (unsigned step = 0; talking > 0; ++step) {
    move_all(step % 2, 1 - step % 2);
    std::atomic<bool> seen{false};
    workers_[step % 2]->post([&seen] { seen = true, seen.notify_one(); });
    seen.wait(false);
  }
  clients.clear();
  EXPECT_EQ(failed, 0);
  EXPECT_GT(moved(), 100u) << "the test does not test moving";
  for (const auto& worker : workers_) worker->start_drain();
  threads_.clear();
  EXPECT_EQ(bytes_held(), 0u);
  for (const auto& worker : workers_) EXPECT_EQ(worker->connections_reserved(), 0u);
}

TEST_P(MoveTest, ClientsNoticeNothingWithASharedStorage) {
  start(2, false);
  talk_while_moving();
}

TEST_P(MoveTest, ClientsNoticeNothingWithAStorageThread) {
  start(2, true);
  talk_while_moving();
}

// Another thread lists all connections (as `stats conns` does) while TLS sessions change hands.
TEST_P(MoveTest, ConnectionsCanBeListedWhileTlsSessionsMove) {
  testing::Pki pki;
  const testing::Identity ca = pki.authority("ca");
  net::tls::TlsOptions options;
  set_certificate(options, pki.issue(ca, {.name = "server", .san = {"DNS:localhost"}}));
  const auto context = net::tls::Context::load(options);
  const net::tls::ClientContext client_context(net::tls::client_options(ca, "1.3"));
  start(2, true);
  std::atomic<bool> done{false};
  std::size_t listed = 0;
  std::jthread lister([&] {
    while (!done) {
      for (const auto& worker : workers_) {
        worker->visit_connections([&](const ConnectionView& view) { listed += view.tls_version.size(); });
      }
    }
  });
  net::tls::Connection connection(*context, client_context);
  connection.run();
  ASSERT_TRUE(connection.established());
  auto& client = connection.client;
  const auto fd = connect(std::move(connection.server.session));
  const auto say = [&](const std::string& line) {
    ASSERT_TRUE(client.session->send(line, client.wire));
    ASSERT_TRUE(send(*fd, client.take()));
    client.received.clear();
    while (client.received.size() < line.size() && !client.failed()) {
      const std::string byte = receive(*fd, 1);
      ASSERT_FALSE(byte.empty());
      client.feed(byte);
    }
    ASSERT_EQ(client.received, line);
  };
  for (unsigned round = 0; round < 300; ++round) {
    say("round " + std::to_string(round) + "\n");
    move_all(round % 2, 1 - round % 2);
  }
  say("the end\n");
  done = true;
  lister.join();
  EXPECT_GT(moved(), 100u) << "the test does not test moving";
  EXPECT_GT(listed, 0u);
}

// Whoever is under way when a drain begins is answered all the same, by whichever worker has it.
TEST_P(MoveTest, ADrainInTheMiddleOfMovingLosesNobody) {
  for (int round = 0; round < 50; ++round) {
    start(2, round % 2 == 0);
    std::vector<net::Fd> clients;
    for (int i = 0; i < 16; ++i) {
      clients.push_back(std::move(*connect()));
      ASSERT_TRUE(send(clients.back(), "first\n"));
      ASSERT_EQ(receive(clients.back(), 6), "first\n");
    }
    move_all(0, 1);
    move_all(1, 0);
    for (const auto& client : clients) ASSERT_TRUE(send(client, "last\n"));
    for (const auto& worker : workers_) worker->start_drain();
    for (const auto& client : clients) {
      EXPECT_EQ(receive(client, 6), "last\n");  // and then the end
      ::shutdown(client.get(), SHUT_WR);
    }
    threads_.clear();
    stop();
    workers_.clear();
    storage_thread_.reset();
  }
}

INSTANTIATE_TEST_SUITE_P(Engines, MoveTest, kEngines,
                         [](const auto& test) { return test.param == net::Engine::kEpoll ? "epoll" : "io_uring"; });

}  // namespace
}  // namespace pelikan::core
