// A loop that looks for work before it sleeps. That all rules of loop.h hold for it, too, the other tests show.
#include "net/busy_poll.h"

#include <sched.h>
#include <sys/syscall.h>

#include <atomic>
#include <thread>

#include "net/loop_test_kit.h"

namespace pelikan::net {
namespace {

using namespace testing;
using namespace std::chrono_literals;

constexpr auto kForEver = std::chrono::hours(1);  // a loop that sleeps before that has not polled as it should

std::unique_ptr<Loop> make(Engine engine, std::chrono::microseconds busy_poll) {
  return make_loop({.engine = engine, .busy_poll = busy_poll});
}

class BusyPollTest : public ::testing::TestWithParam<Engine> {};

INSTANTIATE_TEST_SUITE_P(All, BusyPollTest, ::testing::ValuesIn(engines()), engine_name);

TEST_P(BusyPollTest, FindsWhatIsThere) {
  const auto loop = make(GetParam(), kForEver);
  auto [ours, theirs] = connect_ends(Transport::kPair);
  Recorder stream(*loop);
  loop->attach(stream, std::move(ours));
  turn(*loop);
  EXPECT_EQ(loop->poll_counts().found, 0u) << "a wait of no time does not poll";
  peer_write(theirs, "x");
  turn(*loop, -1);
  EXPECT_EQ(stream.data, "x");
  EXPECT_EQ(loop->poll_counts().found, 1u);
  EXPECT_EQ(loop->poll_counts().missed, 0u);
  close_and_forget(stream);
}

TEST_P(BusyPollTest, FindsWhatComesLater) {
  const auto loop = make(GetParam(), kForEver);
  auto [ours, theirs] = connect_ends(Transport::kPair);
  Recorder stream(*loop);
  stream.when_data = [&](std::string_view bytes) {
    if (!stream.sending) stream.send(bytes, SentNotice::kLater);
  };
  loop->attach(stream, std::move(ours));
  const std::size_t rounds = iterations(500);
  std::thread peer([&, &end = theirs] {
    for (std::size_t i = 0; i < rounds; ++i) {
      peer_write(end, "x");
      while (peer_read(end).empty()) std::this_thread::yield();
    }
    peer_write(end, "y");
  });
  while (stream.received <= rounds) turn(*loop, -1);
  peer.join();
  EXPECT_EQ(loop->poll_counts().missed, 0u);
  EXPECT_LE(loop->poll_counts().found, 2 * rounds + 2) << "a poll that ended for nothing";
  close_and_forget(stream);
}

TEST_P(BusyPollTest, FindsConnections) {
  class Taker : public Acceptor {
   public:
    void on_accept(Fd fd) override { fds.push_back(std::move(fd)); }
    void on_accept_error(int error) override { ADD_FAILURE() << "on_accept_error " << error; }
    std::vector<Fd> fds;
  } taker;
  const Listening listening = listen_tcp("127.0.0.1", 0, 16);
  const auto loop = make(GetParam(), kForEver);
  loop->listen(taker, listening.fd.get());
  turn(*loop);
  const Fd client = connect_tcp(
      "127.0.0.1", static_cast<std::uint16_t>(std::stoi(listening.name.substr(listening.name.rfind(':') + 1))));
  turn(*loop, -1);
  EXPECT_EQ(taker.fds.size(), 1u);
  EXPECT_EQ(loop->poll_counts().missed, 0u);
}

TEST_P(BusyPollTest, LooksAtItsSocketsHoweverOftenItIsWoken) {
  const auto loop = make(GetParam(), kForEver);
  auto [ours, theirs] = connect_ends(Transport::kPair);
  Recorder stream(*loop);
  loop->attach(stream, std::move(ours));
  turn(*loop);
  peer_write(theirs, "x");
  for (int i = 0; i < 3; ++i) {
    loop->wake();
    turn(*loop, -1);
  }
  EXPECT_EQ(stream.data, "x");
  close_and_forget(stream);
}

TEST_P(BusyPollTest, EndsWithTheTimeOfTheWait) {
  const auto loop = make(GetParam(), kForEver);
  const auto start = std::chrono::steady_clock::now();
  turn(*loop, 5);
  EXPECT_GE(std::chrono::steady_clock::now() - start, 5ms);
  EXPECT_EQ(loop->poll_counts().found, 0u);
  EXPECT_EQ(loop->poll_counts().missed, 1u);
  EXPECT_GE(loop->poll_counts().idle_ns, 5'000'000u);
}

TEST_P(BusyPollTest, ThenSleepsForTheRest) {
  const auto loop = make(GetParam(), 2ms);
  // A sleep may be cut short by a signal, or by the kernel's late work for a ring of an earlier test: but not each
  // time.
  auto longest = 0ns;
  std::uint64_t waits = 0;
  for (; waits < 10 && longest < 19ms; ++waits) {
    const auto start = std::chrono::steady_clock::now();
    turn(*loop, 20);
    longest = std::max<std::chrono::nanoseconds>(longest, std::chrono::steady_clock::now() - start);
  }
  EXPECT_GE(longest, 19ms);
  EXPECT_EQ(loop->poll_counts().missed, waits);
  EXPECT_GE(loop->poll_counts().idle_ns, 2'000'000 * waits);
}

TEST_P(BusyPollTest, IsOffUnlessAskedFor) {
  const auto loop = make(GetParam(), 0us);
  turn(*loop, 1);
  EXPECT_EQ(loop->poll_counts().missed + loop->poll_counts().found, 0u);
  EXPECT_EQ(loop->poll_counts().idle_ns, 0u);
}

// From then on the kernel kills a process that enters the ring: neither a wait in which nothing happens nor a wake-up
// costs a system call.
int poll_without_system_calls() {
  const auto loop = make(Engine::kUring, kForEver);
  auto [ours, theirs] = connect_ends(Transport::kPair);
  Recorder stream(*loop);
  loop->attach(stream, std::move(ours));
  turn(*loop);
  if (!forbid(SYS_io_uring_enter, SECCOMP_RET_KILL_PROCESS)) return 1;
  turn(*loop, 5);
  if (loop->poll_counts().missed != 1) return 2;
  std::thread other([&] { loop->wake(); });
  turn(*loop, -1);
  other.join();
  return loop->poll_counts().found == 1 ? 0 : 3;
}

TEST(BusyPoll, IoUringMakesNoSystemCallInVain) {
  if (kThreadSanitizer || !expect_uring()) GTEST_SKIP();
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) ::_exit(poll_without_system_calls());
  expect_success(child);
}

// Neither would get far if the other kept the processor for its whole time slice, or slept through a signal.
TEST_P(BusyPollTest, TwoLoopsShareAProcessor) {
  cpu_set_t before;
  ASSERT_EQ(::sched_getaffinity(0, sizeof(before), &before), 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(::sched_getcpu(), &one);
  ASSERT_EQ(::sched_setaffinity(0, sizeof(one), &one), 0);  // inherited by the thread
  const auto left = make(GetParam(), kForEver);
  const auto right = make(GetParam(), kForEver);
  std::atomic<std::size_t> step{0};
  const std::size_t steps = iterations(1000);
  const auto play = [&](Loop& loop, Loop& other, std::size_t first) {
    for (std::size_t mine = first; mine < steps; mine += 2) {
      while (step.load(std::memory_order_relaxed) != mine) turn(loop, -1);
      step.store(mine + 1, std::memory_order_relaxed);
      other.wake();
    }
  };
  std::thread opponent([&] { play(*right, *left, 1); });
  play(*left, *right, 0);
  opponent.join();
  EXPECT_EQ(step, steps);
  EXPECT_EQ(left->poll_counts().missed + right->poll_counts().missed, 0u);
  ASSERT_EQ(::sched_setaffinity(0, sizeof(before), &before), 0);
}

}  // namespace
}  // namespace pelikan::net
