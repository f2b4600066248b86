// Workers with a storage thread that is deliberately slow, and clients that come and go, many of them in the middle of
// their requests. Every request carries its client's name, so a reply that reaches the wrong client, is lost, comes
// twice or out of order is seen; the rings have room for no more batches than there may be sessions, so one too many
// ends the process.
#include "core/storage_thread.h"

#include <poll.h>
#include <sys/resource.h>

#include <random>

#include "core/workers_test_kit.h"

namespace pelikan::core {
namespace {

constexpr std::size_t kWorkers = 4;

std::string name_of_engine(const ::testing::TestParamInfo<net::Engine>& test) {
  return test.param == net::Engine::kEpoll ? "epoll" : "io_uring";
}

class StorageThreadTest : public WorkersTest {
 protected:
  using WorkersTest::WorkersTest;

  void start(std::size_t workers, std::size_t buffer_bytes_max = 64u << 20) {
    WorkersTest::start(workers, true, buffer_bytes_max);
  }
  // One client's life; what went wrong, or nothing.
  std::string live(std::mt19937& random, const std::string& name);
  // The storage does nothing meanwhile.
  void hold_up_storage() {
    storage_open_ = false;
    storage_thread_->post([this] { storage_open_.wait(false); });
  }
  void let_storage_go_on() {
    storage_open_ = true;
    storage_open_.notify_one();
  }
  void TearDown() override {
    let_storage_go_on();
    WorkersTest::TearDown();
  }
  // What `look` says on the first worker's thread.
  bool on_worker(const std::function<bool()>& look) {
    std::atomic<int> seen{-1};
    workers_[0]->post([&] { seen = look(), seen.notify_one(); });
    seen.wait(-1);
    return seen == 1;
  }
  // Clients that each send so many bytes of requests and read nothing.
  std::vector<net::Fd> flood(std::size_t count, std::size_t bytes) {
    std::string requests;
    while (requests.size() < bytes) requests += "a line of which there are many\n";
    std::vector<net::Fd> clients;
    for (std::size_t i = 0; i < count; ++i) {
      clients.push_back(std::move(*connect()));
      (void)send(clients.back(), requests);  // fails when it has been closed meanwhile
    }
    return clients;
  }
  [[nodiscard]] std::uint64_t shed() const {
    std::uint64_t sum = 0;
    for (const auto& worker : workers_) sum += worker->metrics().session_buffer_exhausted.value();
    return sum;
  }
  // What is due when all clients have left: the workers end, and nothing is missing.
  void expect_all_given_back();

 private:
  std::atomic<bool> storage_open_{true};
};

class ThousandsOfSessionsTest : public StorageThreadTest {
 protected:
  static constexpr std::size_t kThreads = 8;
  static constexpr std::size_t kSessionsPerThread = 512;

  // All places can be taken: that takes two descriptors each.
  ThousandsOfSessionsTest() : StorageThreadTest(kThreads * kSessionsPerThread) {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
  // One thread's clients: only when all have asked do they read, or leave. What went wrong, or nothing.
  std::string ask_and_read(std::mt19937& random, const std::string& name);
};

std::string StorageThreadTest::live(std::mt19937& random, const std::string& name) {
  const auto fd = connect();
  if (!fd) return {};
  int number = 0;
  const int rounds = static_cast<int>(random() % 5);
  for (int round = 0; round < rounds; ++round) {
    std::string requests;
    for (std::size_t i = random() % 40; i > 0; --i) requests += name + " " + std::to_string(number++) + "\n";
    const std::size_t cut = random() % (requests.size() + 1);
    if (!send(*fd, requests.substr(0, cut)) || !send(*fd, requests.substr(cut))) return name + " cannot send";
    if (random() % 3 == 0) return {};  // leaves without its replies
    const std::string replies = receive(*fd, requests.size());
    if (replies != requests) return name + " got " + replies + " for " + requests;
  }
  if (random() % 2 == 0) return {};
  if (!send(*fd, random() % 2 == 0 ? "quit\n" : "nonsense\n")) return name + " cannot send the end";
  return receive(*fd, 1).empty() ? std::string() : name + " got more than its replies";
}

void StorageThreadTest::expect_all_given_back() {
  for (const auto& worker : workers_) worker->start_drain();
  threads_.clear();
  for (const auto& worker : workers_) EXPECT_EQ(worker->connections_reserved(), 0u);
  EXPECT_EQ(bytes_held(), 0u);
  for (std::size_t i = 0; i < limit_.max(); ++i) EXPECT_TRUE(limit_.acquire()) << "a place was not given back";
  EXPECT_FALSE(limit_.acquire());
}

std::string ThousandsOfSessionsTest::ask_and_read(std::mt19937& random, const std::string& name) {
  struct Client {
    net::Fd fd;
    std::string requests;
    std::size_t cut = 0;
  };
  std::vector<Client> clients;
  while (clients.size() < kSessionsPerThread) {
    auto fd = connect();
    if (!fd) {  // those who left in the round before are about to be missed
      std::this_thread::yield();
      continue;
    }
    Client client{std::move(*fd), {}};
    const std::string line = name + "." + std::to_string(clients.size()) + " ";
    for (std::size_t i = 1 + random() % 6; i > 0; --i) client.requests += line + std::to_string(i) + "\n";
    client.cut = random() % (client.requests.size() + 1);
    if (!send(client.fd, client.requests.substr(0, client.cut))) return line + "cannot send\n";
    clients.push_back(std::move(client));
  }
  for (const Client& client : clients) {
    if (!send(client.fd, client.requests.substr(client.cut))) return "cannot send the rest of " + client.requests;
  }
  // With replies unread and others on their way.
  std::erase_if(clients, [&](const Client&) { return random() % 4 == 0; });
  for (const Client& client : clients) {
    const std::string replies = receive(client.fd, client.requests.size());
    if (replies != client.requests) return "got " + replies + " for " + client.requests;
  }
  return {};
}

TEST_P(StorageThreadTest, ClientsThatComeAndGoGetTheirOwnReplies) {
  start(kWorkers);
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::atomic<int> lives{0};
  std::mutex trouble_mutex;
  std::string trouble;
  {
    std::vector<std::jthread> clients;
    for (unsigned i = 0; i < 8; ++i) {
      clients.emplace_back([&, i] {
        std::mt19937 random(seed + i);
        for (int round = 0; round < 500; ++round) {
          const std::string wrong = live(random, "client" + std::to_string(i) + "." + std::to_string(round));
          ++lives;
          if (wrong.empty()) continue;
          const std::scoped_lock lock(trouble_mutex);
          trouble += wrong;
        }
      });
    }
  }
  EXPECT_EQ(trouble, "");
  EXPECT_EQ(lives, 4000);
  expect_all_given_back();
}

TEST_P(ThousandsOfSessionsTest, GetTheirOwnReplies) {
  storage_.spins = 10000;
  start(kWorkers);
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mutex trouble_mutex;
  std::string trouble;
  {
    std::vector<std::jthread> clients;
    for (unsigned i = 0; i < kThreads; ++i) {
      clients.emplace_back([&, i] {
        std::mt19937 random(seed + i);
        for (int round = 0; round < 10; ++round) {
          const std::string wrong = ask_and_read(random, std::to_string(i) + "." + std::to_string(round));
          const std::scoped_lock lock(trouble_mutex);
          trouble += wrong;
        }
      });
    }
  }
  EXPECT_EQ(trouble, "");
  expect_all_given_back();
}

// A connection that is lost while its batch is away keeps its place: however fast clients come and go, no more batches
// are under way than there may be connections.
TEST_P(StorageThreadTest, SessionsThatAreLostKeepTheirPlaceUntilTheirBatchIsBack) {
  start(1);
  std::vector<net::Fd> clients;
  for (std::size_t i = 0; i < kConnectionsMax; ++i) {
    clients.push_back(std::move(*connect()));
    ASSERT_TRUE(send(clients.back(), "one\n"));
  }
  for (const auto& client : clients) {  // a reply that is not read: the end is a reset
    pollfd readable{.fd = client.get(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&readable, 1, kPatienceSec * 1000), 1);
  }
  hold_up_storage();
  for (const auto& client : clients) ASSERT_TRUE(send(client, "two\n"));
  wait_until(
      [this] { return on_worker([this] { return workers_[0]->metrics().batch.value() == 2 * kConnectionsMax; }); });
  clients.clear();
  wait_until([this] { return on_worker([this] { return workers_[0]->connections() == 0; }); });
  EXPECT_FALSE(connect().has_value()) << "a place is free whose batch is still away";
  let_storage_go_on();
  std::optional<net::Fd> late;
  wait_until([&] { return (late = connect()).has_value(); });
  ASSERT_TRUE(send(*late, "late\n"));
  EXPECT_EQ(receive(*late, 5), "late\n");
  EXPECT_EQ(workers_[0]->metrics().batch_stale.value(), kConnectionsMax);
}

// Replies that fill the output again and again: a batch goes and comes with what is left of it, in order.
TEST_P(StorageThreadTest, ABatchLargerThanTheOutputGoesOnWhenThatIsTaken) {
  storage_.replies_per_request = 2000;
  start(2);
  const auto fd = connect();
  std::string expected;
  std::string requests;
  for (int i = 0; i < 100; ++i) {
    const std::string line = "request " + std::to_string(i) + " of a hundred\n";
    requests += line;
    for (int copy = 0; copy < storage_.replies_per_request; ++copy) expected += line;
  }
  ASSERT_TRUE(send(*fd, requests));
  EXPECT_TRUE(receive(*fd, expected.size()) == expected);
  EXPECT_LT(bytes_held(), expected.size() / 2);
}

// Above the limit nothing is executed; the session that holds most is closed, and the others go on.
TEST_P(StorageThreadTest, MemoryOfAllThreadsTogetherIsBounded) {
  storage_.replies_per_request = 2000;
  start(2, 1 << 20);
  std::vector<net::Fd> deaf;
  for (int i = 0; i < 16; ++i) {
    deaf.push_back(std::move(*connect()));
    std::string requests;
    for (int line = 0; line < 100; ++line) requests += "a line for a client that does not read its replies\n";
    ASSERT_TRUE(send(deaf.back(), requests));
  }
  const auto fd = connect();
  ASSERT_TRUE(send(*fd, "x\n"));
  EXPECT_EQ(receive(*fd, 4000).size(), 4000u);
  // One reply may overshoot, for each of the sessions that were executed at once.
  EXPECT_LE(bytes_held(), 8u << 20);
}

// What waits for the storage counts, too, though no pool has it.
TEST_P(StorageThreadTest, MemoryOfWhatWaitsForTheStorageIsBounded) {
  constexpr std::size_t kLimit = 1 << 20;
  start(2, kLimit);
  hold_up_storage();
  const std::vector<net::Fd> clients = flood(kConnectionsMax, 100'000);
  wait_until([this] { return shed() > 0; });
  EXPECT_LT(bytes_held(), 16 * kLimit);
  let_storage_go_on();
  wait_until([this] { return bytes_held() <= kLimit; });
}

// Batches that come back as they went, because memory was short, are memory like any other: who holds most is closed,
// and the others go on.
TEST_P(StorageThreadTest, DeferredBatchesDoNotStallTheWorker) {
  constexpr std::size_t kLimit = 1 << 20;
  start(1, kLimit);
  hold_up_storage();
  const std::vector<net::Fd> clients = flood(12, 120'000);
  let_storage_go_on();
  const auto fd = connect();
  ASSERT_TRUE(send(*fd, "x\n"));
  EXPECT_EQ(receive(*fd, 2), "x\n");
}

TEST_P(StorageThreadTest, DrainAnswersWhatIsWithTheStorage) {
  for (int round = 0; round < 20; ++round) {
    start(2);
    hold_up_storage();
    const auto one = connect();
    const auto two = connect();
    std::string requests;
    for (int i = 0; i < 1000; ++i) requests += std::to_string(i) + "\n";
    ASSERT_TRUE(send(*one, requests));
    ASSERT_TRUE(send(*two, requests));
    for (const auto& worker : workers_) worker->start_drain();
    let_storage_go_on();
    EXPECT_EQ(receive(*one, requests.size() + 1), requests);
    EXPECT_EQ(receive(*two, requests.size() + 1), requests);
    ::shutdown(one->get(), SHUT_WR);
    ::shutdown(two->get(), SHUT_WR);
    threads_.clear();
    stop();
    workers_.clear();
    storage_thread_.reset();
  }
}

INSTANTIATE_TEST_SUITE_P(Engines, StorageThreadTest, kEngines, name_of_engine);
INSTANTIATE_TEST_SUITE_P(Engines, ThousandsOfSessionsTest, kEngines, name_of_engine);

}  // namespace
}  // namespace pelikan::core
