// The contract of Loop::detach(), one rule per test, over both engines and every kind of socket. Streams go on in a
// second loop, so whatever was lost, told twice or out of order shows in their bytes. (loop_random_test.cc has full
// rings and random order, loop_move_test.cc two threads.)
#include <fcntl.h>

#include "net/loop_test_kit.h"

namespace pelikan::net {
namespace {

using namespace testing;

class DetachTest : public OverAllSetups {};

INSTANTIATE_TEST_SUITE_P(All, DetachTest, ::testing::ValuesIn(setups()), label);

void finish_detach(Recorder& stream) {
  const int before = stream.detached;
  run_until(*stream.loop, [&] { return stream.detached > before; });
}

TEST_P(DetachTest, AnotherLoopGoesOnWhereTheFirstStopped) {
  const auto first = make();
  for (const Engine engine : engines()) {
    const auto second = make_loop({.engine = engine});
    auto [ours, theirs] = ends();
    Recorder stream(*first);
    const int descriptor = ours.get();
    first->attach(stream, std::move(ours));
    turn(*first);
    peer_write(theirs, "one ");
    run_until(*first, [&] { return stream.data == "one "; });
    stream.detach();
    EXPECT_EQ(stream.detached, 0) << "from a later dispatch()";
    finish_detach(stream);
    EXPECT_EQ(stream.descriptor.get(), descriptor);
    peer_write(theirs, "two");
    for (int i = 0; i < 3; ++i) turn(*first);
    EXPECT_EQ(stream.data, "one ");
    stream.attach_to(*second);
    run_until(*second, [&] { return stream.data == "one two"; });
    stream.send("answer");
    run_until(*second, [&] { return stream.sent == 1; });
    EXPECT_EQ(peer_read(theirs), "answer");
    for (int i = 0; i < 3; ++i) turn(*first);
    EXPECT_EQ(stream.detached, 1);
    close_and_forget(stream);
  }
}

// Before anything was submitted, with nothing to do, and while the peer has written.
TEST_P(DetachTest, AtAnyMomentAndWhateverPauseAndResumeSay) {
  enum Before : int { kNothing, kTurn, kPause, kPauseTurn, kPauseTurnResume, kWritten, kWrittenTurn, kBefores };
  enum After { kNoMore, kPauseAfter, kResumeAfter, kSecondDetach, kAfters };
  for (int i = 0; i < int{kBefores} * int{kAfters}; ++i) {
    const int before = i % kBefores;
    const int after = i / kBefores;
    SCOPED_TRACE("before " + std::to_string(before) + " after " + std::to_string(after));
    const auto first = make();
    const auto second = make();
    auto [ours, theirs] = ends();
    Recorder stream(*first);
    first->attach(stream, std::move(ours));
    if (before != kNothing) turn(*first);
    if (before == kPause || before == kPauseTurn || before == kPauseTurnResume) first->pause(stream);
    if (before == kPauseTurn || before == kPauseTurnResume) turn(*first);
    if (before == kPauseTurnResume) first->resume(stream);
    if (before == kWritten || before == kWrittenTurn) peer_write(theirs, "early ");
    if (before == kWrittenTurn) first->wait(0);
    stream.detach();
    if (after == kPauseAfter) first->pause(stream);
    if (after == kResumeAfter) first->resume(stream);
    if (after == kSecondDetach) first->detach(stream);
    peer_write(theirs, "late ");
    for (int turns = 0; turns < 5; ++turns) {
      turn(*first);
      if (stream.detached > 0) break;
      if (after == kPauseAfter) first->pause(stream);
      if (after == kResumeAfter) first->resume(stream);
    }
    ASSERT_EQ(stream.detached, 1);
    EXPECT_TRUE(GetParam().engine == Engine::kUring || stream.received == 0) << "nothing was under way";
    const std::size_t received = stream.received;
    peer_write(theirs, "later");
    for (int turns = 0; turns < 3; ++turns) turn(*first);
    EXPECT_EQ(stream.received, received);
    EXPECT_EQ(stream.detached, 1);
    stream.attach_to(*second);
    const bool early = before == kWritten || before == kWrittenTurn;
    run_until(*second, [&] { return stream.data == (early ? "early late later" : "late later"); });
    close_and_forget(stream);
  }
}

TEST_P(DetachTest, ASendUnderWayIsFinishedFirst) {
  for (const SentNotice notice : {SentNotice::kSoon, SentNotice::kLater}) {
    for (const bool armed : {false, true}) {
      const auto first = make();
      const auto second = make();
      auto [ours, theirs] = ends();
      shrink_send_buffer(ours.get());
      Recorder stream(*first);
      first->attach(stream, std::move(ours));
      const std::string bytes = pattern(3, 300'000);
      stream.send(bytes, notice);
      if (armed) turn(*first);
      stream.detach();
      for (int i = 0; i < 5; ++i) turn(*first);
      EXPECT_EQ(stream.detached, 0);
      peer_write(theirs, "not for the first loop");
      std::string got;
      const auto read = [&] { got += peer_read(theirs, nullptr, 50'000); };
      run_until(*first, [&] { return stream.detached == 1; }, read);
      EXPECT_EQ(stream.sent, 1);
      EXPECT_EQ(stream.received, 0u);
      stream.attach_to(*second);
      stream.send(" and more");
      run_until(*second, [&] { return stream.sent == 2 && got.size() == bytes.size() + 9; }, read);
      EXPECT_TRUE(got == bytes + " and more");
      run_until(*second, [&] { return stream.data == "not for the first loop"; });
      close_and_forget(stream);
    }
  }
}

TEST_P(DetachTest, SendingGoesOnUntilItIsDetached) {
  for (const SentNotice notice : {SentNotice::kSoon, SentNotice::kLater}) {
    const auto loop = make();
    auto [ours, theirs] = ends();
    shrink_send_buffer(ours.get());
    Recorder stream(*loop);
    loop->attach(stream, std::move(ours));
    turn(*loop);
    stream.detach();
    std::size_t sent_bytes = 0;
    const auto send = [&](std::size_t count) {
      stream.send(pattern(sent_bytes, count), notice);
      sent_bytes += count;
    };
    stream.when_sent = [&] {
      if (stream.sent < 20) send(stream.sent % 2 == 0 ? 9 : 30'000);
    };
    send(5);
    std::string got;
    const auto read = [&] { got += peer_read(theirs); };
    run_until(*loop, [&] { return stream.detached == 1; }, read);
    EXPECT_EQ(stream.sent, 20);
    stream.attach_to(*loop);
    run_until(*loop, [&] { return got.size() == sent_bytes; }, read);
    EXPECT_TRUE(got == pattern(0, sent_bytes));
    close_and_forget(stream);
  }
}

// The stream is as good as gone when somebody still wants something of it: its owner between wait() and dispatch(), or
// another stream's callback in the very dispatch() that would let it go.
class LateTest : public DetachTest {
 protected:
  // Runs `act` at every such moment, when `stream` is still there; then `check`.
  void at_every_moment(const std::function<void(Recorder&)>& act,
                       const std::function<void(Loop&, Recorder&, const Fd&)>& check) {
    for (int i = 0; i < 8; ++i) {
      const bool from_callback = i % 2 == 1;
      const int turns_before = i / 2;
      SCOPED_TRACE("turns before " + std::to_string(turns_before) + (from_callback ? ", from a callback" : ""));
      const auto loop = make();
      auto [ours, theirs] = ends();
      auto [ours2, theirs2] = ends();
      shrink_send_buffer(ours.get());
      Recorder stream(*loop);
      Recorder other(*loop);
      loop->attach(stream, std::move(ours));
      loop->attach(other, std::move(ours2));
      turn(*loop);
      stream.detach();
      for (int turns = 0; turns < turns_before; ++turns) turn(*loop);
      bool acted = false;
      other.when_data = [&](std::string_view) {
        acted = stream.detached == 0;
        if (acted) act(stream);
      };
      if (from_callback) peer_write(theirs2, "x");
      loop->wait(0);
      if (!from_callback) other.when_data({});
      EXPECT_EQ(stream.closed, 0);
      loop->dispatch();
      EXPECT_TRUE(!from_callback || stream.closed == 0) << "from a later dispatch()";
      late_ += acted ? 1 : 0;
      if (acted) check(*loop, stream, theirs);
      close_and_forget(other);
    }
  }

  int late_ = 0;
};

INSTANTIATE_TEST_SUITE_P(All, LateTest, ::testing::ValuesIn(setups()), label);

TEST_P(LateTest, SendIsFinished) {
  for (const std::size_t bytes : {std::size_t{5}, std::size_t{200'000}}) {
    at_every_moment([&](Recorder& stream) { stream.send(pattern(0, bytes)); },
                    [&](Loop& loop, Recorder& stream, const Fd& peer) {
                      std::string got;
                      run_until(loop, [&] { return stream.detached == 1; }, [&] { got += peer_read(peer); });
                      EXPECT_EQ(stream.sent, 1);
                      stream.attach_to(loop);
                      run_until(loop, [&] { return got.size() == bytes; }, [&] { got += peer_read(peer); });
                      EXPECT_TRUE(got == pattern(0, bytes));
                      close_and_forget(stream);
                    });
  }
  EXPECT_GE(late_, 4);
}

TEST_P(LateTest, CloseWins) {
  at_every_moment([](Recorder& stream) { stream.close(); },
                  [](Loop& loop, Recorder& stream, const Fd&) {
                    run_until(loop, [&] { return stream.closed > 0; });
                    for (int i = 0; i < 3; ++i) turn(loop);
                    EXPECT_EQ(stream.closed, 1);
                    EXPECT_EQ(stream.detached, 0);
                  });
  EXPECT_GE(late_, 2);
}

TEST_P(LateTest, PauseAndResumeInEveryTurnPutNothingOff) {
  const auto loop = make();
  auto [ours, theirs] = ends();
  Recorder stream(*loop);
  loop->attach(stream, std::move(ours));
  turn(*loop);
  stream.detach();
  for (int i = 0; i < 10 && stream.detached == 0; ++i) {
    loop->wait(0);
    loop->pause(stream);
    loop->resume(stream);
    loop->dispatch();
  }
  EXPECT_EQ(stream.detached, 1);
}

// A reply that nobody was to be told of soon: no other event comes, and yet it must not hold the stream back. When
// paused there is no receive either, whose end would be an event.
TEST_P(DetachTest, ALateNoticeDoesNotHoldItBack) {
  enum Order { kSendThenDetach, kSendTurnDetach, kDetachThenSend, kOrders };
  for (int i = 0; i < 2 * kOrders; ++i) {
    const int order = i / 2;
    const bool paused = i % 2 == 1;
    const auto loop = make();
    auto [ours, theirs] = ends();
    Recorder stream(*loop);
    loop->attach(stream, std::move(ours));
    turn(*loop);
    if (paused) loop->pause(stream);
    for (int turns = 0; turns < 3; ++turns) turn(*loop);
    if (order == kDetachThenSend) stream.detach();
    stream.send("reply", SentNotice::kLater);
    if (order == kSendTurnDetach) turn(*loop);
    if (order != kDetachThenSend) stream.detach();
    const auto start = std::chrono::steady_clock::now();
    for (int turns = 0; turns < 6 && stream.detached == 0; ++turns) turn(*loop, 10'000);
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(9)) << "slept, order " << order;
    EXPECT_EQ(stream.detached, 1);
    EXPECT_EQ(peer_read(theirs), "reply");
  }
}

TEST_P(DetachTest, TheEndOfThePeersWritingDoesNotStopIt) {
  for (const bool seen_before : {false, true}) {
    const auto first = make();
    const auto second = make();
    auto [ours, theirs] = ends();
    Recorder stream(*first);
    first->attach(stream, std::move(ours));
    turn(*first);
    peer_write(theirs, "last words");
    ::shutdown(theirs.get(), SHUT_WR);
    if (seen_before) run_until(*first, [&] { return !stream.ends.empty(); });
    stream.detach();
    finish_detach(stream);
    EXPECT_LE(stream.ends.size(), 1u);
    stream.attach_to(*second);  // forgets what was told
    run_until(*second, [&] { return !stream.ends.empty(); });
    EXPECT_EQ(stream.ends, std::vector{0}) << "told again";
    EXPECT_EQ(stream.data, "last words");
    stream.send("answer");
    run_until(*second, [&] { return stream.sent == 1; });
    EXPECT_EQ(peer_read(theirs), "answer");
    close_and_forget(stream);
  }
}

TEST_P(DetachTest, AConnectionThatIsLostMeanwhileIsClosedNotDetached) {
  const auto loop = make();
  auto [ours, theirs] = ends();
  shrink_send_buffer(ours.get());
  Recorder stream(*loop);
  loop->attach(stream, std::move(ours));
  stream.send(std::string(8 << 20, 'x'));
  turn(*loop);
  stream.detach();
  turn(*loop);
  reset_on_close(theirs.get());
  theirs.reset();
  run_until(*loop, [&] { return !stream.ends.empty(); });
  EXPECT_NE(stream.ends[0], 0);
  for (int i = 0; i < 5; ++i) turn(*loop);
  EXPECT_EQ(stream.detached, 0);
  EXPECT_EQ(stream.sent, 0);
  close_and_forget(stream);
  EXPECT_EQ(stream.detached, 0);
}

TEST_P(DetachTest, WhatWasLostBeforeIsNotDetached) {
  const auto loop = make();
  Recorder stream(*loop);
  loop->attach(stream, Fd(::open("/dev/null", O_RDWR | O_CLOEXEC)));
  const bool told_later = GetParam().transport == Transport::kTcp;
  if (!told_later) run_until(*loop, [&] { return !stream.ends.empty(); });
  // In epoll attach() has found out that this is no socket, and the next dispatch() would have told it.
  if (told_later && GetParam().engine == Engine::kUring) turn(*loop);
  stream.detach();
  for (int i = 0; i < 5; ++i) turn(*loop);
  EXPECT_EQ(stream.ends.size(), 1u);
  EXPECT_EQ(stream.detached, 0);
  close_and_forget(stream);
}

// From every callback, and right after detach(): on_closed() once, from a later dispatch(), and no on_detached()
// (Recorder checks).
TEST_P(DetachTest, CloseBeforeItIsDetachedWins) {
  enum Moment { kAtOnce, kAfterWait, kBeforeSecondWait, kAfterSecondWait, kData, kSent, kStuck, kFromOther, kMoments };
  for (int moment = kAtOnce; moment < kMoments; ++moment) {
    SCOPED_TRACE("moment " + std::to_string(moment));
    const auto loop = make();
    auto [ours, theirs] = ends();
    auto [ours2, theirs2] = ends();
    auto stream = std::make_unique<Recorder>(*loop);
    Recorder other(*loop);
    Recorder& s = *stream;
    s.when_data = [&](std::string_view) { s.close(); };
    s.when_sent = [&] { s.close(); };
    other.when_data = [&](std::string_view) { s.close(); };
    loop->attach(s, std::move(ours));
    loop->attach(other, std::move(ours2));
    if (moment == kStuck) {
      s.send(std::string(8 << 20, 'x'));
      turn(*loop);
    }
    turn(*loop);
    if (moment == kData) peer_write(theirs, "x");
    if (moment == kSent) s.send("x");
    s.detach();
    if (moment == kFromOther) peer_write(theirs2, "x");
    if (moment == kAfterWait || moment == kAfterSecondWait) loop->wait(0);
    if (moment == kBeforeSecondWait && GetParam().engine == Engine::kUring) turn(*loop);  // from epoll it would be gone
    EXPECT_EQ(s.detached, 0);
    if (moment == kAfterSecondWait) loop->wait(0);
    if (moment == kData || moment == kSent || moment == kFromOther) {
      run_until(*loop, [&] { return s.closing_called || s.detached > 0; });
    } else {
      s.close();
    }
    if (s.detached > 0) {  // it had left already: data stayed in the socket
      EXPECT_EQ(moment, kData);
      s.when_data = nullptr;
      s.attach_to(*loop);
      s.close();
    }
    EXPECT_EQ(s.closed, 0) << "from a later dispatch()";
    run_until(*loop, [&] { return s.closed > 0; });
    for (int i = 0; i < 3; ++i) turn(*loop);
    EXPECT_EQ(s.closed, 1);
    stream.reset();
    for (int i = 0; i < 3; ++i) turn(*loop);
    close_and_forget(other);
  }
  EXPECT_EQ(Recorder::pool().bytes_in_use(), 0u);
}

// From within on_detached() the stream may be destroyed, attached to this loop or to another.
TEST_P(DetachTest, InTheCallbackTheLoopHasForgottenIt) {
  const auto loop = make();
  const auto second = make();
  auto [ours, theirs] = ends();
  auto stream = std::make_unique<Recorder>(*loop);
  Fd kept;
  stream->when_detached = [&] {
    kept = std::move(stream->descriptor);
    loop->wake();
  };
  loop->attach(*stream, std::move(ours));
  turn(*loop);
  stream->detach();
  run_until(*loop, [&] { return static_cast<bool>(kept); });

  // A new stream with the same connection goes around: this loop, this loop, the other, this one.
  Recorder next(*loop);
  next.descriptor = std::move(kept);
  Loop* const stations[] = {loop.get(), loop.get(), second.get(), loop.get(), second.get()};
  std::size_t station = 0;
  next.when_detached = [&] { next.attach_to(*stations[++station]); };
  next.attach_to(*stations[0]);
  stream.reset();
  std::string expected;
  for (std::size_t i = 0; i + 1 < std::size(stations); ++i) {
    peer_write(theirs, std::to_string(i));
    expected += std::to_string(i);
    run_until(*next.loop, [&] { return next.data == expected; });
    Loop& here = *next.loop;
    next.detach();
    run_until(here, [&] { return station == i + 1; });
  }
  EXPECT_EQ(next.detached, 4);
  close_and_forget(next);
}

class DestroysItself : public Stream {
 public:
  explicit DestroysItself(int& destroyed) : destroyed_(destroyed) {}
  ~DestroysItself() override { ++destroyed_; }
  void on_data(std::string_view) override {}
  void on_end(int) override {}
  void on_sent() override {}
  void on_closed() override {}
  void on_detached(Fd) override { delete this; }

 private:
  int& destroyed_;
};

TEST_P(DetachTest, MayBeDestroyedInTheCallback) {
  const auto loop = make();
  int destroyed = 0;
  bool ended = false;
  std::vector<Fd> peers;
  for (int i = 0; i < 20; ++i) {
    auto [ours, theirs] = ends();
    auto* stream = new DestroysItself(destroyed);
    loop->attach(*stream, std::move(ours));
    if (i % 2 == 0) turn(*loop);
    peers.push_back(std::move(theirs));
    peer_write(peers.back(), "x");
    loop->detach(*stream);
  }
  run_until(*loop, [&] { return destroyed == 20; });
  for (int i = 0; i < 3; ++i) turn(*loop);
  run_until(*loop, [&] { return ended; }, [&] { peer_read(peers[0], &ended); });
}

// Its descriptor is open and has data: a loop that had not let go of it would be awake all the time.
TEST_P(DetachTest, LeavesTheLoopQuiet) {
  const auto loop = make();
  auto [ours, theirs] = ends();
  Recorder stream(*loop);
  loop->attach(stream, std::move(ours));
  turn(*loop);
  stream.detach();
  finish_detach(stream);
  peer_write(theirs, "x");
  int waits = 0;
  for (auto slept = std::chrono::nanoseconds(0); slept < std::chrono::milliseconds(29) && waits < 100; ++waits) {
    const auto start = std::chrono::steady_clock::now();
    turn(*loop, 30);
    slept = std::chrono::steady_clock::now() - start;
  }
  EXPECT_LE(waits, 20);  // a signal may end one early: see docs/net.md
  EXPECT_EQ(stream.received, 0u);
}

TEST_P(DetachTest, TheLoopMayBeDestroyedBefore) {
  auto loop = make();
  auto [ours, theirs] = ends();
  auto [ours2, theirs2] = ends();
  shrink_send_buffer(ours.get());
  Recorder stuck(*loop);
  Recorder leaving(*loop);
  loop->attach(stuck, std::move(ours));
  loop->attach(leaving, std::move(ours2));
  stuck.send(std::string(1 << 20, 'x'));
  turn(*loop);
  stuck.detach();
  leaving.detach();
  loop->wait(0);
  loop.reset();
  EXPECT_EQ(stuck.detached + leaving.detached, 0);
}

class NeverMoves : public Stream {
 public:
  void on_data(std::string_view) override {}
  void on_end(int) override {}
  void on_sent() override {}
  void on_closed() override {}
};

void detach_what_does_not_expect_it(Setup setup) {
  const auto loop = make_loop({.engine = setup.engine});
  NeverMoves stream;
  loop->attach(stream, connect_ends(setup.transport).ours);
  loop->detach(stream);
  for (int i = 0; i < 10; ++i) turn(*loop);
}

TEST_P(DetachTest, IsAnErrorOfTheProgramForAStreamThatDoesNotExpectIt) {
  EXPECT_DEATH(detach_what_does_not_expect_it(GetParam()), "for streams that expect it only");
}

}  // namespace
}  // namespace pelikan::net
