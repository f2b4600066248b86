// Which service executes a session's requests, and when. Each worker has its own; a session that moves goes on with
// that of its new worker, in the middle of a request, too. A service rests before its thread waits and has a turn
// before it executes anything; it checks that itself and stops the process.
#include "core/service.h"

#include <random>

#include "core/workers_test_kit.h"

namespace pelikan::core {
namespace {

constexpr int kForeverMs = 10 * kPatienceSec * 1000;  // who sleeps by mistake is seen

// Its name goes before each line that it echoes. All calls come from one thread.
struct WatchedEcho {
  void turn(const Time& /*now*/) {
    note_thread();
    CHECK(resting || may_go_on);
    resting = false;
    ++turns;
  }
  void rest() {
    note_thread();
    CHECK(!resting);
    resting = true;
    ++rests;
  }
  void execute(const EchoProtocol::Request& request, Replies<EchoProtocol>& reply) {
    note_thread();
    CHECK(!resting && turns > 0);
    reply({name});
    reply({request.line});
  }
  void note_thread() {
    if (thread == std::thread::id{}) thread = std::this_thread::get_id();
    CHECK(thread == std::this_thread::get_id());
  }

  std::string name;
  bool may_go_on = false;  // a turn may follow a turn, without a wait between
  std::thread::id thread{};
  std::atomic<bool> resting{false};
  std::atomic<std::uint64_t> turns{0}, rests{0};
};

class ServiceTest : public WorkersTest {
 protected:
  Service& service_of(std::size_t i) override { return services_[i]; }

  // Clients that talk in random pieces to whoever executes.
  void talk();
  void expect_all_asleep() {
    for (std::size_t i = 0; i < (storage_thread_ ? 1 : workers_.size()); ++i) {
      wait_until([&] { return echoes_[i].resting.load(); });
    }
  }

  WatchedEcho echoes_[2] = {{.name = "0:"}, {.name = "1:"}};
  ServiceFor<EchoProtocol, WatchedEcho> services_[2] = {ServiceFor<EchoProtocol, WatchedEcho>(echoes_[0]),
                                                        ServiceFor<EchoProtocol, WatchedEcho>(echoes_[1])};
};

void ServiceTest::talk() {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  std::vector<net::Fd> clients;
  while (clients.size() < 8) clients.push_back(std::move(*connect()));
  for (int round = 0; round < 100; ++round) {
    for (std::size_t i = 0; i < clients.size(); ++i) {
      const std::string name = storage_thread_ || workers_.size() == 1 || i % 2 == 0 ? "0:" : "1:";
      std::string requests;
      std::string replies;
      for (std::size_t count = 1 + random() % 20; count > 0; --count) {
        const std::string line = std::to_string(i) + "." + std::to_string(count) + "\n";
        requests += line;
        replies += name + line;
      }
      const std::size_t cut = random() % (requests.size() + 1);
      ASSERT_TRUE(send(clients[i], requests.substr(0, cut)) && send(clients[i], requests.substr(cut)));
      ASSERT_EQ(receive(clients[i], replies.size()), replies);
    }
  }
}

TEST_P(ServiceTest, OfItsOwnForEachWorker) {
  wait_ms_ = kForeverMs;
  start(2, false);
  talk();
  expect_all_asleep();
  stop();
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_TRUE(echoes_[i].resting) << "the thread has ended";
    EXPECT_EQ(echoes_[i].rests, echoes_[i].turns + 1);
    EXPECT_GE(echoes_[i].turns, workers_[i]->metrics().event_loop.value());
    EXPECT_GT(echoes_[i].turns, 100u);
  }
}

TEST_P(ServiceTest, OfTheOnlyWorker) {
  start(1, false);
  talk();
  stop();
  EXPECT_TRUE(echoes_[0].resting);
  EXPECT_EQ(echoes_[0].rests, echoes_[0].turns + 1);
}

TEST_P(ServiceTest, OfTheStorageThreadAndOfNobodyElse) {
  wait_ms_ = storage_wait_ms_ = kForeverMs;
  echoes_[0].may_go_on = true;  // more batches may have come in the meantime
  start(2, true);
  talk();
  expect_all_asleep();
  stop();
  EXPECT_TRUE(echoes_[0].resting) << "the thread has ended";
  EXPECT_GT(echoes_[0].turns, 100u);
  EXPECT_EQ(echoes_[1].turns, 0u);
}

// The storage does what must be done by time alone, so nobody sleeps for long.
TEST_P(ServiceTest, HasTurnsWithoutRequests) {
  storage_wait_ms_ = 5;
  echoes_[0].may_go_on = true;
  for (const bool with_storage_thread : {false, true}) {
    const std::uint64_t before = echoes_[0].turns;
    echoes_[0].thread = {};
    echoes_[0].resting = false;
    start(1, with_storage_thread);
    wait_until([&] { return echoes_[0].turns > before + 3; });
    stop();
    workers_.clear();
    storage_thread_.reset();
  }
}

TEST_P(ServiceTest, TasksRunInATurnEvenWhenTheWorkerEnds) {
  start(1, false);
  bool ran = false;
  workers_[0]->post([&] {
    EXPECT_FALSE(echoes_[0].resting);
    workers_[0]->stop();
    workers_[0]->post([&] {
      EXPECT_FALSE(echoes_[0].resting);
      ran = true;
    });
  });
  stop();
  EXPECT_TRUE(ran);
}

TEST_P(ServiceTest, ASessionThatMovesInMidRequestGoesOnWithTheOther) {
  start(2, false);
  const auto fd = connect();
  ASSERT_TRUE(send(*fd, "one\n"));
  EXPECT_EQ(receive(*fd, 6), "0:one\n");
  ASSERT_TRUE(send(*fd, "tw"));
  wait_until([&] { return workers_[0]->metrics().session_recv.value() == 2; });
  workers_[0]->post([&] { workers_[0]->give_away(*workers_[1], 1.0, 1); });
  wait_until([&] { return workers_[1]->connections() == 1; });
  EXPECT_EQ(workers_[0]->connections(), 0u);
  ASSERT_TRUE(send(*fd, "o\nthree\n"));
  EXPECT_EQ(receive(*fd, 14), "1:two\n1:three\n");
}

INSTANTIATE_TEST_SUITE_P(Engines, ServiceTest, kEngines,
                         [](const auto& test) { return test.param == net::Engine::kEpoll ? "epoll" : "io_uring"; });

}  // namespace
}  // namespace pelikan::core
