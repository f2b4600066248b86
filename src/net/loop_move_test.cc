// Streams that go back and forth between two threads under load: each echoes what its client sends, and every few
// receives moves to the other thread's loop, through a ring. The clients check every byte.
#include <algorithm>
#include <atomic>
#include <string>
#include <thread>

#include "net/loop_test_kit.h"
#include "queue/spsc_ring.h"

namespace pelikan::net {
namespace {

using namespace testing;

constexpr std::size_t kStreams = 16;

class Mover;

// One of the two threads.
struct Home {
  explicit Home(Engine engine) : loop(make_loop({.engine = engine, .receive_bytes = 2000, .receive_buffers = 8})) {}

  void run(std::atomic<bool>& stop);

  std::unique_ptr<Loop> loop;
  BufferPool pool{std::size_t{1} << 30};
  SpscRing<Mover*> arrivals{kStreams};
  Home* other = nullptr;
};

class Mover final : public Stream {
 public:
  explicit Mover(std::uint32_t seed) : random_(seed) {}

  void settle_in(Home& home) {
    home_ = &home;
    leaving_ = false;
    receives_left_ = 1 + random_() % 8;
    home.loop->attach(*this, std::move(fd_));
    flush();
  }
  void depart_from(Fd fd) { fd_ = std::move(fd); }

  void on_data(std::string_view bytes) override {
    waiting_ += bytes;
    if (waiting_.size() > 20'000) home_->loop->pause(*this);
    if (!leaving_ && --receives_left_ == 0) {
      leaving_ = true;
      home_->loop->detach(*this);
    }
    if (!leaving_ || random_() % 2 == 0) flush();  // else what came last travels along
  }
  void on_end(int error) override {
    EXPECT_EQ(error, 0);
    ended_ = true;
    flush();
  }
  void on_sent() override {
    sending_ = false;
    home_->loop->resume(*this);
    flush();
  }
  void on_closed() override { closed.store(true); }
  void on_detached(Fd fd) override {
    EXPECT_FALSE(sending_);
    fd_ = std::move(fd);
    ++moves;
    Home& next = *home_->other;
    EXPECT_TRUE(next.arrivals.push(this));  // from here on it is the other thread's
    next.loop->wake();
  }

  int moves = 0;
  std::atomic<bool> closed{false};

 private:
  void flush() {
    if (sending_) {
      if (ended_ || !waiting_.empty()) home_->loop->tell_soon(*this);
      return;
    }
    if (waiting_.empty()) {
      if (ended_) home_->loop->close(*this);
      return;
    }
    Buffer output(home_->pool);
    output.append(std::exchange(waiting_, {}));
    sending_ = true;
    const bool later = !ended_ && random_() % 2 == 0;
    home_->loop->send(*this, std::move(output), later ? SentNotice::kLater : SentNotice::kSoon);
  }

  std::mt19937 random_;
  Home* home_ = nullptr;
  Fd fd_;
  std::string waiting_;
  std::size_t receives_left_ = 0;
  bool leaving_ = false;
  bool sending_ = false;
  bool ended_ = false;
};

void Home::run(std::atomic<bool>& stop) {
  while (!stop.load()) {
    loop->wait(-1);
    while (const auto mover = arrivals.pop()) (*mover)->settle_in(*this);
    loop->dispatch();
  }
}

struct Client {
  Fd fd;
  std::size_t written = 0;
  std::size_t read = 0;
};

using Engines = std::pair<Engine, Engine>;

std::vector<Engines> pairs_of_engines() {
  std::vector<Engines> pairs;
  for (const Engine left : engines()) {
    for (const Engine right : engines()) pairs.emplace_back(left, right);
  }
  return pairs;
}

std::string pair_name(const ::testing::TestParamInfo<Engines>& info) {
  return engine_label(info.param.first) + "_" + engine_label(info.param.second);
}

class LoopMoveTest : public ::testing::TestWithParam<Engines> {};

INSTANTIATE_TEST_SUITE_P(All, LoopMoveTest, ::testing::ValuesIn(pairs_of_engines()), pair_name);

TEST_P(LoopMoveTest, EveryByteFollows) {
  const std::uint32_t seed = test_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  Home left(GetParam().first);
  Home right(GetParam().second);
  left.other = &right;
  right.other = &left;
  std::vector<std::unique_ptr<Mover>> movers;
  std::vector<Client> clients(kStreams);
  for (std::size_t i = 0; i < kStreams; ++i) {
    auto [ours, theirs] = connect_ends(i % 2 == 0 ? Transport::kTcp : Transport::kPair);
    if (i % 4 < 2) shrink_send_buffer(ours.get());
    clients[i].fd = std::move(theirs);
    movers.push_back(std::make_unique<Mover>(static_cast<std::uint32_t>(random())));
    movers.back()->depart_from(std::move(ours));
    ASSERT_TRUE(left.arrivals.push(movers.back().get()));
  }
  std::atomic<bool> stop{false};
  std::thread left_thread([&] { left.run(stop); });
  std::thread right_thread([&] { right.run(stop); });
  left.loop->wake();

  const std::size_t total = iterations(200'000);
  const auto act = [&](Client& client) {
    const std::size_t size = std::min<std::size_t>(random() % 6000, total - client.written);
    if (client.written < total && random() % 2 == 0) {
      client.written += peer_write(client.fd, pattern(client.written, size));
      if (client.written == total) ::shutdown(client.fd.get(), SHUT_WR);
    }
    const std::string got = peer_read(client.fd, nullptr, 1 + random() % 8000);
    ASSERT_TRUE(got == pattern(client.read, got.size()));
    client.read += got.size();
  };
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  const auto done = [&] {
    return std::ranges::all_of(clients, [&](const Client& c) { return c.read == total; }) &&
           std::ranges::all_of(movers, [](const auto& mover) { return mover->closed.load(); });
  };
  while (!done() && !HasFatalFailure() && std::chrono::steady_clock::now() < deadline) {
    std::ranges::for_each(clients, act);
    std::this_thread::yield();
  }
  EXPECT_TRUE(done());
  stop = true;
  left.loop->wake();
  right.loop->wake();
  left_thread.join();
  right_thread.join();
  for (const auto& mover : movers) EXPECT_GT(mover->moves, 5);
}

}  // namespace
}  // namespace pelikan::net
