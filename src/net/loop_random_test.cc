// Many streams, small limits and random order: what single rules do not show.
// RandomLife runs any mixture of calls and peer actions against a model that knows, for each connection, what was
// written on both sides; data must be a prefix of it at all times, and all of it when nobody broke off. The streams
// move between two loops, or wait for a while between them.
// PELIKAN_TEST_SEED and PELIKAN_TEST_ITERATIONS repeat and lengthen a run.
#include <algorithm>
#include <array>

#include "net/loop_test_kit.h"

namespace pelikan::net {
namespace {

using namespace testing;

class LoopRandomTest : public OverAllSetups {};

INSTANTIATE_TEST_SUITE_P(All, LoopRandomTest, ::testing::ValuesIn(setups()), label);

// Answers every byte it got, as a session does: one buffer under way, the next one collecting; paused while that is
// long.
class Echo : public Recorder {
 public:
  explicit Echo(Loop& owner, std::uint32_t seed) : Recorder(owner), random_(seed) {
    keep = false;
    when_data = [this](std::string_view bytes) {
      waiting_ += bytes;
      if (waiting_.size() > 20'000) loop->pause(*this);
      flush();
    };
    when_sent = [this] {
      loop->resume(*this);
      flush();
    };
  }

 private:
  void flush() {
    if (sending || waiting_.empty()) return;
    send(std::exchange(waiting_, {}), random_() % 2 == 0 ? SentNotice::kLater : SentNotice::kSoon);
  }

  std::mt19937 random_;
  std::string waiting_;
};

TEST_P(LoopRandomTest, EchoesRandomSizesOverTinySocketBuffers) {
  const std::uint32_t seed = test_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  LoopOptions options;
  options.receive_bytes = 512;
  options.receive_buffers = 8;
  const auto loop = make(options);
  struct Client {
    std::unique_ptr<Echo> echo;
    Fd fd;
    std::size_t written = 0;
    std::size_t read = 0;
  };
  const std::size_t total = iterations(30'000);
  std::vector<Client> clients(8);
  for (auto& client : clients) {
    auto [ours, theirs] = ends();
    shrink_send_buffer(ours.get());
    client.echo = std::make_unique<Echo>(*loop, seed);
    client.fd = std::move(theirs);
    loop->attach(*client.echo, std::move(ours));
  }
  const auto act = [&](Client& client) {
    const std::size_t size = std::min<std::size_t>(random() % 4000, total - client.written);
    if (random() % 2 == 0) client.written += peer_write(client.fd, pattern(client.written, size));
    if (random() % 2 == 0) return;
    const std::string got = peer_read(client.fd, nullptr, 1 + random() % 8000);
    ASSERT_TRUE(got == pattern(client.read, got.size()));
    client.read += got.size();
  };
  run_until(
      *loop, [&] { return std::ranges::all_of(clients, [&](const Client& c) { return c.read == total; }); },
      [&] { std::ranges::for_each(clients, act); });
  for (auto& client : clients) close_and_forget(*client.echo);
}

// One connection of the model.
struct Life {
  std::unique_ptr<Recorder> stream;
  Fd peer;
  std::size_t peer_wrote = 0;
  std::size_t peer_got = 0;
  std::size_t stream_sent = 0;  // bytes handed to send()
  bool broken = false;          // reset by the peer: anything may be missing at the end
  bool finished = false;
};

class World {
 public:
  using Loops = std::array<std::unique_ptr<Loop>, 2>;

  World(const Loops& loops, Transport transport, std::uint32_t seed)
      : loops_(loops), transport_(transport), random_(seed) {
    for (auto& life : lives_) start(life);
  }

  void act() {
    Life& life = lives_[random_() % lives_.size()];
    const auto choice = random_() % 15;
    if (choice < 3) return peer_writes(life);
    if (choice < 5) return peer_reads(life);
    if (choice == 5 && random_() % 8 == 0) return breaks_off(life);
    if (choice == 6 && random_() % 8 == 0) return replace(life);
    if (between_loops(life)) return life.stream->attach_to(any_loop());
    if (choice < 9) return sends(life);
    if (choice == 9) return life.stream->loop->pause(*life.stream);
    if (choice < 12) return life.stream->loop->resume(*life.stream);
    if (choice == 12) life.stream->detach();
  }

  void check(const Life& life) const {
    const Recorder& stream = *life.stream;
    ASSERT_LE(stream.received, life.peer_wrote);
    ASSERT_TRUE(stream.data == pattern(0, stream.received));
    ASSERT_LE(life.peer_got, life.stream_sent);
  }

  // Everybody reads what is there: nothing may be missing where nobody broke off.
  void settle() {
    for (auto& life : lives_) {
      Recorder& stream = *life.stream;
      stream.when_data = nullptr;
      stream.when_detached = [this, &stream] { stream.attach_to(any_loop()); };
      if (between_loops(life)) stream.when_detached();
      stream.loop->resume(stream);
      if (!life.broken && !std::exchange(life.finished, true)) ::shutdown(life.peer.get(), SHUT_WR);
    }
    const auto complete = [](const Life& life) {
      if (life.broken) return true;
      return life.stream->received == life.peer_wrote && life.peer_got == life.stream_sent &&
             !life.stream->ends.empty();
    };
    const auto others = [&] {
      turn(*loops_[1]);
      for (auto& life : lives_) peer_reads(life);
    };
    run_until(*loops_[0], [&] { return std::ranges::all_of(lives_, complete); }, others);
    for (auto& life : lives_) {
      check(life);
      close_and_forget(*life.stream);
    }
    const auto all_closed = [&] { return std::ranges::all_of(old_, [](const auto& s) { return s->closed == 1; }); };
    run_until(*loops_[0], all_closed, [&] { turn(*loops_[1]); });
  }

  std::size_t moves() const { return moves_; }
  void forget_closed() {
    std::erase_if(old_, [](const auto& stream) { return stream->closed > 0; });
  }

 private:
  void start(Life& life) {
    auto [ours, theirs] = connect_ends(transport_);
    if (random_() % 2 == 0) shrink_send_buffer(ours.get());
    life = Life{};
    life.stream = std::make_unique<Recorder>(any_loop());
    life.peer = std::move(theirs);
    Recorder& stream = *life.stream;
    if (random_() % 4 == 0) {
      stream.when_data = [this, &stream](std::string_view) {
        if (random_() % 4 == 0) stream.loop->pause(stream);
        if (random_() % 8 == 0) stream.detach();
      };
    }
    stream.when_detached = [this, &stream] {
      ++moves_;
      if (random_() % 2 == 0) stream.attach_to(any_loop());
    };
    stream.loop->attach(stream, std::move(ours));
  }
  static bool between_loops(const Life& life) { return static_cast<bool>(life.stream->descriptor); }
  Loop& any_loop() { return *loops_[random_() % loops_.size()]; }
  void peer_writes(Life& life) {
    if (!life.broken && !life.finished)
      life.peer_wrote += peer_write(life.peer, pattern(life.peer_wrote, random_() % 3000));
  }
  void peer_reads(Life& life) {
    if (life.broken) return;
    const std::string got = peer_read(life.peer, nullptr, 1 + random_() % 20'000);
    ASSERT_TRUE(got == pattern(life.peer_got, got.size()));
    life.peer_got += got.size();
  }
  void sends(Life& life) {
    if (life.stream->sending) return;
    const std::size_t size = 1 + random_() % 12'000;
    life.stream->send(pattern(life.stream_sent, size), random_() % 2 == 0 ? SentNotice::kLater : SentNotice::kSoon);
    life.stream_sent += size;
  }
  void breaks_off(Life& life) {
    if (life.broken) return;
    if (random_() % 2 == 0) {
      if (!std::exchange(life.finished, true)) ::shutdown(life.peer.get(), SHUT_WR);
      return;
    }
    if (random_() % 2 == 0) reset_on_close(life.peer.get());
    life.peer.reset();
    life.broken = true;
  }
  void replace(Life& life) {
    check(life);
    life.stream->when_data = nullptr;
    if (!between_loops(life)) {
      life.stream->close();
      old_.push_back(std::move(life.stream));
    }
    start(life);
  }

  const Loops& loops_;
  std::size_t moves_ = 0;
  Transport transport_;
  std::mt19937 random_;
  std::array<Life, 12> lives_;
  std::vector<std::unique_ptr<Recorder>> old_;  // closed, wait for on_closed()
};

TEST_P(LoopRandomTest, RandomLife) {
  const std::uint32_t seed = test_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  LoopOptions options;
  options.receive_bytes = 700;
  options.receive_buffers = 4;
  options.ring_entries = 8;
  const World::Loops loops = {make(options), make(options)};
  World world(loops, GetParam().transport, static_cast<std::uint32_t>(random()));
  const std::size_t steps = iterations(10'000);
  for (std::size_t step = 0; step < steps; ++step) {
    world.act();
    if (random() % 3 == 0) turn(*loops[random() % 2]);
    if (random() % 50 == 0) world.forget_closed();
  }
  EXPECT_GT(world.moves(), steps / 100);
  world.settle();
}

TEST_P(LoopRandomTest, TenThousandConnectionsComeAndGo) {
  const auto loop = make();
  const std::size_t total =
      kThreadSanitizer ? 1000 : iterations(GetParam().transport == Transport::kPair ? 10'000 : 1000);
  for (std::size_t i = 0; i < total; i += 50) {
    std::vector<std::unique_ptr<Recorder>> streams;
    std::vector<Fd> peers;
    for (std::size_t j = 0; j < 50; ++j) {
      auto [ours, theirs] = ends();
      streams.push_back(std::make_unique<Recorder>(*loop));
      reset_on_close(ours.get());  // leaves no port waiting for late packets
      if (j % 3 != 0) peer_write(theirs, "x");
      loop->attach(*streams.back(), std::move(ours));
      peers.push_back(std::move(theirs));
    }
    turn(*loop);
    for (auto& stream : streams) stream->close();
    run_until(*loop, [&] { return std::ranges::all_of(streams, [](const auto& s) { return s->closed == 1; }); });
  }
}

// More streams than the submission and completion rings have entries, and everybody has something to say at once.
TEST_P(LoopRandomTest, MoreStreamsThanTheRingsHold) {
  LoopOptions options;
  options.ring_entries = 8;
  options.receive_buffers = 256;
  options.receive_bytes = 256;
  const auto loop = make(options);
  constexpr std::size_t kStreams = 300;
  std::vector<std::unique_ptr<Recorder>> streams;
  std::vector<Fd> peers;
  std::vector<std::size_t> got(kStreams);
  for (std::size_t i = 0; i < kStreams; ++i) {
    auto [ours, theirs] = ends();
    streams.push_back(std::make_unique<Recorder>(*loop));
    Recorder& stream = *streams.back();
    stream.when_data = [&stream, i](std::string_view bytes) {
      stream.send(bytes, i % 2 == 0 ? SentNotice::kLater : SentNotice::kSoon);
    };
    loop->attach(stream, std::move(ours));
    peers.push_back(std::move(theirs));
  }
  for (std::size_t round = 1; round <= 3; ++round) {
    for (const auto& peer : peers) peer_write(peer, "question");
    run_until(
        *loop, [&] { return std::ranges::all_of(got, [&](std::size_t bytes) { return bytes == 8 * round; }); },
        [&] {
          for (std::size_t i = 0; i < kStreams; ++i) got[i] += peer_read(peers[i], nullptr, 64).size();
        });
    run_until(
        *loop, [&] { return std::ranges::none_of(streams, [](const auto& s) { return s->sending; }); },
        [&] { peer_write(peers[0], ""); });
  }
  for (auto& stream : streams) stream->close();
  run_until(*loop, [&] { return std::ranges::all_of(streams, [](const auto& s) { return s->closed == 1; }); });
}

// Two buffers, one stream that takes all it can get, twenty that want a little: each of them is served again and again.
TEST_P(LoopRandomTest, OneBusySocketDoesNotEatAllBuffers) {
  LoopOptions options;
  options.receive_buffers = 2;
  options.receive_bytes = 128;
  const auto loop = make(options);
  std::vector<std::unique_ptr<Recorder>> streams;
  std::vector<Fd> peers;
  for (int i = 0; i < 21; ++i) {
    auto [ours, theirs] = ends();
    streams.push_back(std::make_unique<Recorder>(*loop));
    streams.back()->keep = false;
    loop->attach(*streams.back(), std::move(ours));
    peers.push_back(std::move(theirs));
  }
  const std::string flood(50'000, 'f');
  for (int round = 1; round <= 5; ++round) {
    for (std::size_t i = 1; i < peers.size(); ++i) peer_write(peers[i], "x");
    int turns = 0;
    const auto served = [&] {
      return std::all_of(streams.begin() + 1, streams.end(),
                         [&](const auto& s) { return s->received == static_cast<std::size_t>(round); });
    };
    run_until(*loop, served, [&] {
      peer_write(peers[0], flood);
      ++turns;
    });
    EXPECT_LE(turns, 60) << "starved";
  }
  EXPECT_GT(streams[0]->received, 0u);
  for (auto& stream : streams) close_and_forget(*stream);
}

// The peer never stops writing; buffers are few, so io_uring has data, lack of buffers and the cancellation under way
// at once.
TEST_P(LoopRandomTest, DetachingLosesNothingOfAFlood) {
  const std::uint32_t seed = test_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const LoopOptions options{.receive_bytes = 100, .receive_buffers = 4, .ring_entries = 8};
  const std::unique_ptr<Loop> loops[] = {make(options), make(options)};
  auto [ours, theirs] = ends();
  Recorder stream(*loops[0]);
  stream.keep = false;
  std::size_t expected = 0;
  bool in_order = true;
  stream.when_data = [&](std::string_view bytes) {
    in_order = in_order && bytes == pattern(expected, bytes.size());
    expected += bytes.size();
    if (random() % 16 == 0) stream.detach();
  };
  stream.when_detached = [&] { stream.attach_to(*loops[random() % 2]); };
  loops[0]->attach(stream, std::move(ours));
  std::size_t written = 0;
  const std::size_t total = iterations(300'000);
  run_until(
      *loops[0], [&] { return stream.received == total; },
      [&] {
        const std::size_t size = std::min<std::size_t>(1 + random() % 3000, total - written);
        if (written < total) written += peer_write(theirs, pattern(written, size));
        turn(*loops[1]);
      });
  EXPECT_TRUE(in_order);
  EXPECT_GT(stream.detached, 50);
  stream.when_detached = nullptr;
  close_and_forget(stream);
}

// More streams than the rings have entries, all with data, some sending, all leave in one turn.
TEST_P(LoopRandomTest, MoreStreamsLeaveThanTheRingsHold) {
  const LoopOptions options{.receive_bytes = 256, .receive_buffers = 8, .ring_entries = 8};
  const auto first = make(options);
  const auto second = make(options);
  constexpr std::size_t kStreams = 200;
  std::vector<std::unique_ptr<Recorder>> streams;
  std::vector<Fd> peers;
  for (std::size_t i = 0; i < kStreams; ++i) {
    auto [ours, theirs] = ends();
    streams.push_back(std::make_unique<Recorder>(*first));
    Recorder& stream = *streams.back();
    stream.when_detached = [&] { stream.attach_to(*second); };
    first->attach(stream, std::move(ours));
    peers.push_back(std::move(theirs));
  }
  turn(*first);
  for (std::size_t i = 0; i < kStreams; ++i) {
    peer_write(peers[i], pattern(i, 1000));
    if (i % 3 == 0) streams[i]->send("hello", i % 2 == 0 ? SentNotice::kLater : SentNotice::kSoon);
    if (i % 5 == 0) first->wait(0);
    streams[i]->detach();
  }
  const auto complete = [](const auto& s) { return s->detached == 1 && s->received == 1000 && !s->sending; };
  run_until(*second, [&] { return std::ranges::all_of(streams, complete); }, [&] { turn(*first); });
  for (std::size_t i = 0; i < kStreams; ++i) {
    EXPECT_TRUE(streams[i]->data == pattern(i, 1000));
    EXPECT_EQ(peer_read(peers[i]), i % 3 == 0 ? "hello" : "");
    close_and_forget(*streams[i]);
  }
}

// Two buffers, and a stream that floods: the others find none, and leave while they wait for one.
TEST_P(LoopRandomTest, StarvedStreamsLeave) {
  const LoopOptions options{.receive_bytes = 128, .receive_buffers = 2};
  const auto first = make(options);
  const auto second = make(options);
  std::vector<std::unique_ptr<Recorder>> streams;
  std::vector<Fd> peers;
  for (int i = 0; i < 21; ++i) {
    auto [ours, theirs] = ends();
    streams.push_back(std::make_unique<Recorder>(*first));
    Recorder& stream = *streams.back();
    stream.keep = false;
    stream.when_detached = [&] { stream.attach_to(*second); };
    first->attach(stream, std::move(ours));
    peers.push_back(std::move(theirs));
  }
  const std::string flood(50'000, 'f');
  for (const auto& peer : peers) peer_write(peer, flood);
  turn(*first);
  turn(*first);
  for (std::size_t i = 1; i < streams.size(); ++i) streams[i]->detach();
  const auto gone = [](const auto& s) { return s->detached == 1; };
  run_until(
      *first, [&] { return std::all_of(streams.begin() + 1, streams.end(), gone); },
      [&] { peer_write(peers[0], flood); });
  const auto complete = [](const auto& s) { return s->received == 50'000; };
  run_until(*second, [&] { return std::all_of(streams.begin() + 1, streams.end(), complete); });
  for (auto& stream : streams) close_and_forget(*stream);
}

}  // namespace
}  // namespace pelikan::net
