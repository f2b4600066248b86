// Several loops that listen to one socket: every connection comes to exactly one of them, a loop that is busy or has
// paused takes none from the others, and none is left behind by a loop that pauses.
#include <atomic>
#include <functional>
#include <thread>

#include "net/loop_test_kit.h"

namespace pelikan::net {
namespace {

using namespace testing;

// A loop that listens, with or without a thread of its own.
class Taker : public Acceptor {
 public:
  Taker(Engine engine, const Listening& listening) : loop(make_loop({.engine = engine, .share_accepts = true})) {
    loop->listen(*this, listening.fd.get());
  }

  void on_accept(Fd fd) override {
    fds_.push_back(std::move(fd));
    accepted.fetch_add(1);
    if (when_accepted) when_accepted();
  }
  void on_accept_error(int error) override { ADD_FAILURE() << "on_accept_error " << error; }

  void run() {
    while (!stop.load()) {
      loop->wait(-1);
      if (pause_wanted.exchange(false)) loop->pause_accept();
      if (resume_wanted.exchange(false)) loop->resume_accept();
      loop->dispatch();
      turns.fetch_add(1);
    }
  }
  // The loop has seen all that was asked for before.
  void sync() {
    const int before = turns.load();
    while (turns.load() < before + 4) {
      loop->wake();
      std::this_thread::yield();
    }
  }

  std::unique_ptr<Loop> loop;
  std::atomic<int> accepted{0};
  std::atomic<int> turns{0};
  std::atomic<bool> pause_wanted{false};
  std::atomic<bool> resume_wanted{false};
  std::atomic<bool> stop{false};
  std::function<void()> when_accepted;

 private:
  std::vector<Fd> fds_;
};

class AcceptShareTest : public ::testing::TestWithParam<Engine> {
 protected:
  ~AcceptShareTest() override { join(); }

  void start_threads() {
    for (Taker* taker : {&one_, &two_}) threads_.emplace_back([taker] { taker->run(); });
    one_.sync();
    two_.sync();
  }
  void join() {
    for (Taker* taker : {&one_, &two_}) {
      taker->stop = true;
      taker->loop->wake();
    }
    for (auto& thread : threads_) thread.join();
    threads_.clear();
  }
  void connect() {
    clients_.push_back(connect_tcp("127.0.0.1", static_cast<std::uint16_t>(std::stoi(listening_.name.substr(10)))));
    ++connected_;
  }
  int accepted() const { return one_.accepted.load() + two_.accepted.load(); }
  // All that have connected are accepted, without another connection's help.
  [[nodiscard]] bool all_come() const {
    return soon([&] { return accepted() == connected_; });
  }
  static bool soon(const std::function<bool()>& done) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!done()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }

  const Listening listening_ = listen_tcp("127.0.0.1", 0, 512);
  Taker one_{GetParam(), listening_};
  Taker two_{GetParam(), listening_};
  int connected_ = 0;

 private:
  std::vector<Fd> clients_;
  std::vector<std::thread> threads_;
};

INSTANTIATE_TEST_SUITE_P(All, AcceptShareTest, ::testing::ValuesIn(engines()), engine_name);

// Whoever is first stays in its callback until the other one has had a connection, too.
TEST_P(AcceptShareTest, ABusyThreadLeavesConnectionsToTheOther) {
  std::atomic<int> alone{0};
  one_.when_accepted = [&] { alone += soon([&] { return two_.accepted.load() > 0; }) ? 0 : 1; };
  two_.when_accepted = [&] { alone += soon([&] { return one_.accepted.load() > 0; }) ? 0 : 1; };
  start_threads();
  connect();
  ASSERT_TRUE(soon([&] { return accepted() == 1; }));
  for (int i = 0; i < 20; ++i) connect();
  EXPECT_TRUE(all_come());
  join();
  EXPECT_EQ(alone, 0);
  EXPECT_EQ(accepted(), connected_) << "none twice";
}

TEST_P(AcceptShareTest, ALoopThatTakesNoTurnsHoldsAtMostOneConnection) {
  turn(*one_.loop);
  turn(*two_.loop);
  for (int i = 0; i < 10; ++i) {
    connect();
    for (int j = 0; j < 3; ++j) turn(*two_.loop);
  }
  EXPECT_GE(two_.accepted, 9);
  for (int j = 0; j < 3; ++j) turn(*one_.loop);
  EXPECT_EQ(accepted(), connected_);
}

TEST_P(AcceptShareTest, PausingOneDoesNotDisturbTheOther) {
  start_threads();
  Taker* const takers[] = {&one_, &two_};
  for (int round = 0; round < 50; ++round) {
    Taker& paused = *takers[round % 2];
    paused.pause_wanted = true;
    paused.sync();
    const int before = paused.accepted;
    for (int i = 0; i < 4; ++i) connect();
    ASSERT_TRUE(all_come()) << "round " << round;
    ASSERT_EQ(paused.accepted, before);
    paused.resume_wanted = true;
    paused.sync();
  }
}

// The kernel tells one loop of a connection. If that loop pauses before it looks, nobody else would come.
TEST_P(AcceptShareTest, WhoIsWokenAndPausesLeavesNoConnectionBehind) {
  start_threads();
  for (int round = 0; round < 50; ++round) {
    one_.pause_wanted = true;  // without a wake-up: done between the next wait() and dispatch()
    two_.pause_wanted = true;
    connect();
    ASSERT_TRUE(all_come()) << "round " << round;
    for (Taker* taker : {&one_, &two_}) {
      taker->sync();
      taker->resume_wanted = true;
      taker->sync();
    }
  }
}

TEST_P(AcceptShareTest, AnAcceptThatIsCancelledLeavesNoConnectionBehind) {
  for (int round = 0; round < 20; ++round) {
    turn(*one_.loop);
    turn(*two_.loop);
    connect();
    one_.loop->pause_accept();
    for (int j = 0; j < 3; ++j) turn(*one_.loop);
    for (int j = 0; j < 3; ++j) turn(*two_.loop);
    ASSERT_EQ(accepted(), connected_) << "round " << round;
    one_.loop->resume_accept();
  }
}

}  // namespace
}  // namespace pelikan::net
