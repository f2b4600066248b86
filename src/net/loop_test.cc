// The contract of loop.h, one rule per test, over both engines and every kind of socket.
#include "net/loop.h"

#include <fcntl.h>

#include "net/loop_test_kit.h"

namespace pelikan::net {
namespace {

using namespace testing;

class LoopTest : public OverAllSetups {};

INSTANTIATE_TEST_SUITE_P(All, LoopTest, ::testing::ValuesIn(setups()), label);

TEST_P(LoopTest, CarriesBytesBothWays) {
  const auto loop = make();
  EXPECT_EQ(loop->engine_name(), engine_label(GetParam().engine));
  auto [ours, theirs] = ends();
  Recorder stream(*loop);
  loop->attach(stream, std::move(ours));
  turn(*loop);
  EXPECT_EQ(stream.received, 0u);
  for (int round = 0; round < 3; ++round) {
    stream.data.clear();
    peer_write(theirs, "question");
    run_until(*loop, [&] { return stream.data == "question"; });
    stream.send("answer");
    EXPECT_EQ(stream.sent, round) << "no callback from inside send()";
    run_until(*loop, [&] { return stream.sent == round + 1; });
    EXPECT_EQ(peer_read(theirs), "answer");
  }
  close_and_forget(stream);
}

TEST_P(LoopTest, DispatchCountsStreamsThatReceived) {
  const auto loop = make();
  auto [ours, theirs] = ends();
  auto [ours2, theirs2] = ends();
  Recorder stream(*loop);
  Recorder stream2(*loop);
  loop->attach(stream, std::move(ours));
  loop->attach(stream2, std::move(ours2));
  turn(*loop);
  std::size_t counted = 0;
  peer_write(theirs, "x");
  peer_write(theirs2, "y");
  run_until(
      *loop, [&] { return counted == 2; },
      [&] {
        loop->wait(0);
        counted += loop->dispatch();
      });
  EXPECT_EQ(stream.data + stream2.data, "xy");
  close_and_forget(stream);
  close_and_forget(stream2);
}

TEST_P(LoopTest, HalfCloseDeliversAllThenEndsAndStillSends) {
  const auto loop = make();
  auto [ours, theirs] = ends();
  Recorder stream(*loop);
  loop->attach(stream, std::move(ours));
  const std::string bytes = pattern(0, 40'000);
  ASSERT_EQ(peer_write(theirs, bytes), bytes.size());
  ::shutdown(theirs.get(), SHUT_WR);
  run_until(*loop, [&] { return !stream.ends.empty(); });
  EXPECT_EQ(stream.data, bytes);
  EXPECT_EQ(stream.ends, std::vector{0});
  stream.send("late answer");
  run_until(*loop, [&] { return stream.sent == 1; });
  EXPECT_EQ(peer_read(theirs), "late answer");
  loop->shutdown_write(stream);
  bool ended = false;
  run_until(*loop, [&] { return ended; }, [&] { peer_read(theirs, &ended); });
  for (int i = 0; i < 5; ++i) turn(*loop);  // both directions shut: nothing more is told
  EXPECT_EQ(stream.ends, std::vector{0});
  close_and_forget(stream);
}

TEST_P(LoopTest, ShutdownWriteGoesOnReceiving) {
  const auto loop = make();
  auto [ours, theirs] = ends();
  Recorder stream(*loop);
  loop->attach(stream, std::move(ours));
  turn(*loop);
  loop->shutdown_write(stream);
  bool ended = false;
  run_until(*loop, [&] { return ended; }, [&] { peer_read(theirs, &ended); });
  peer_write(theirs, "after");
  run_until(*loop, [&] { return stream.data == "after"; });
  EXPECT_TRUE(stream.ends.empty());
  close_and_forget(stream);
}

// A peer that goes away with unread data, or with a hard reset, is a lost connection.
TEST_P(LoopTest, ResetIsALostConnection) {
  const auto loop = make();
  auto [ours, theirs] = ends();
  Recorder stream(*loop);
  loop->attach(stream, std::move(ours));
  stream.send("never read");
  run_until(*loop, [&] { return stream.sent == 1; });
  reset_on_close(theirs.get());
  theirs.reset();
  run_until(*loop, [&] { return !stream.ends.empty(); });
  EXPECT_EQ(stream.ends, std::vector{ECONNRESET});
  close_and_forget(stream);
}

TEST_P(LoopTest, SendToAGonePeerIsALostConnectionAndNoSignal) {
  const auto loop = make();
  auto [ours, theirs] = ends();
  Recorder stream(*loop);
  loop->attach(stream, std::move(ours));
  loop->pause(stream);
  turn(*loop);
  reset_on_close(theirs.get());
  theirs.reset();
  turn(*loop);
  stream.send("into the void");  // SIGPIPE would end this process
  run_until(*loop, [&] { return !stream.ends.empty(); });
  EXPECT_NE(stream.ends[0], 0);
  EXPECT_EQ(stream.sent, 0);
  close_and_forget(stream);
}

TEST_P(LoopTest, ConnectionLostWhileASendIsStuck) {
  const auto loop = make();
  auto [ours, theirs] = ends();
  shrink_send_buffer(ours.get());
  Recorder stream(*loop);
  loop->attach(stream, std::move(ours));
  ::shutdown(theirs.get(), SHUT_WR);
  run_until(*loop, [&] { return !stream.ends.empty(); });
  stream.send(pattern(0, 8 << 20));
  for (int i = 0; i < 10; ++i) turn(*loop);
  EXPECT_EQ(stream.sent, 0);
  reset_on_close(theirs.get());
  theirs.reset();
  run_until(*loop, [&] { return stream.ends.size() == 2; });
  EXPECT_EQ(stream.ends[0], 0);
  EXPECT_NE(stream.ends[1], 0);
  EXPECT_EQ(stream.sent, 0);
  close_and_forget(stream);
}

// A lost connection that nobody listens to must not keep the loop awake.
TEST_P(LoopTest, LostWhilePausedIsQuietUntilResumed) {
  const auto loop = make();
  auto [ours, theirs] = ends();
  Recorder stream(*loop);
  loop->attach(stream, std::move(ours));
  loop->pause(stream);
  for (int i = 0; i < 3; ++i) turn(*loop);
  theirs.reset();
  for (int i = 0; i < 5; ++i) turn(*loop);
  EXPECT_TRUE(stream.ends.empty());
  // A loop that is kept awake never sleeps a whole wait. The news may come late, and the kernel may break a wait.
  bool slept = false;
  for (int waits = 0; waits < 16 && !slept; ++waits) {
    const auto start = std::chrono::steady_clock::now();
    turn(*loop, 30);
    slept = std::chrono::steady_clock::now() - start >= std::chrono::milliseconds(29);
  }
  EXPECT_TRUE(slept);
  loop->resume(stream);
  run_until(*loop, [&] { return !stream.ends.empty(); });
  close_and_forget(stream);
}

TEST_P(LoopTest, LongSendsGoOnWhereTheKernelStopped) {
  for (const SentNotice notice : {SentNotice::kSoon, SentNotice::kLater}) {
    const auto loop = make();
    auto [ours, theirs] = ends();
    shrink_send_buffer(ours.get());
    Recorder stream(*loop);
    loop->attach(stream, std::move(ours));
    const std::string bytes = pattern(7, 300'000);
    stream.send(bytes, notice);
    std::string got;
    run_until(*loop, [&] { return got.size() == bytes.size(); }, [&] { got += peer_read(theirs, nullptr, 50'000); });
    EXPECT_TRUE(got == bytes);
    run_until(*loop, [&] { return stream.sent == 1; });
    close_and_forget(stream);
  }
}

TEST_P(LoopTest, ALaterNoticeComesWithTheNextEventAtLatest) {
  const auto loop = make();
  auto [ours, theirs] = ends();
  Recorder stream(*loop);
  loop->attach(stream, std::move(ours));
  for (int round = 0; round < 20; ++round) {
    stream.send("reply", SentNotice::kLater);
    turn(*loop);
    EXPECT_EQ(peer_read(theirs), "reply") << "sent at once, whenever it is told";
    peer_write(theirs, "?");
    run_until(*loop, [&] { return stream.received == static_cast<std::size_t>(round) + 1; });
    EXPECT_EQ(stream.sent, round + 1);
  }
  close_and_forget(stream);
}

TEST_P(LoopTest, OnSentMaySendAgain) {
  const auto loop = make();
  auto [ours, theirs] = ends();
  Recorder stream(*loop);
  loop->attach(stream, std::move(ours));
  int left = 50;
  stream.when_sent = [&] {
    if (--left > 0) stream.send("again");
  };
  stream.send("again");
  std::string got;
  run_until(*loop, [&] { return got.size() == 250; }, [&] { got += peer_read(theirs); });
  EXPECT_EQ(stream.sent, 50);
  close_and_forget(stream);
}

// The writer always has more; the stream pauses after each piece and looks away for some turns.
TEST_P(LoopTest, PauseBoundsWhatArrivesAndLosesNothing) {
  LoopOptions options;
  options.receive_bytes = 1000;
  options.receive_buffers = 16;
  const auto loop = make(options);
  auto [ours, theirs] = ends();
  Recorder stream(*loop);
  loop->attach(stream, std::move(ours));
  stream.keep = false;
  bool in_order = true;
  std::size_t while_paused = 0;
  bool paused = false;
  std::size_t expected = 0;
  stream.when_data = [&](std::string_view bytes) {
    in_order = in_order && bytes == pattern(expected, bytes.size());
    expected += bytes.size();
    if (paused) while_paused += bytes.size();
    if (!std::exchange(paused, true)) loop->pause(stream);
  };
  std::size_t written = 0;
  const std::size_t total = 1'000'000;
  const std::size_t under_way_max = std::size_t{options.receive_bytes} * options.receive_buffers;
  int looks = 0;
  run_until(
      *loop, [&] { return expected == total; },
      [&] {
        if (written < total)
          written += peer_write(theirs, pattern(written, std::min<std::size_t>(5000, total - written)));
        if (++looks % 4 != 0) return;
        EXPECT_LE(while_paused, under_way_max);
        while_paused = 0;
        paused = false;
        loop->resume(stream);
      });
  EXPECT_TRUE(in_order);
  close_and_forget(stream);
}

TEST_P(LoopTest, PauseAndResumeInOneTurnLosesNothing) {
  const auto loop = make();
  auto [ours, theirs] = ends();
  Recorder stream(*loop);
  loop->attach(stream, std::move(ours));
  for (int round = 0; round < 100; ++round) {
    if (round % 3 == 0) turn(*loop);
    loop->pause(stream);
    if (round % 2 == 0) turn(*loop);
    loop->resume(stream);
    peer_write(theirs, "x");
  }
  run_until(*loop, [&] { return stream.received == 100; });
  close_and_forget(stream);
}

// close() at every moment: on_closed() once, from a later dispatch, and nothing else afterwards (Recorder checks).
TEST_P(LoopTest, CloseAtEveryMoment) {
  enum Moment { kFresh, kIdle, kData, kEnd, kSent, kSendQueued, kSendStuck, kPaused, kUnread, kLost, kMoments };
  for (int moment = kFresh; moment < kMoments; ++moment) {
    SCOPED_TRACE("moment " + std::to_string(moment));
    const auto loop = make();
    auto [ours, theirs] = ends();
    shrink_send_buffer(ours.get());
    auto stream = std::make_unique<Recorder>(*loop);
    Recorder& s = *stream;
    s.when_data = [&](std::string_view) {
      if (moment == kData) s.close();
    };
    s.when_end = [&](int) {
      if (moment == kEnd || moment == kLost) s.close();
    };
    s.when_sent = [&] {
      if (moment == kSent) s.close();
    };
    loop->attach(s, std::move(ours));
    if (moment != kFresh) turn(*loop);
    if (moment == kData) peer_write(theirs, "x");
    if (moment == kEnd) ::shutdown(theirs.get(), SHUT_WR);
    if (moment == kSent) s.send("x");
    if (moment == kSendQueued) s.send("x");
    if (moment == kSendStuck || moment == kLost) s.send(std::string(4 << 20, 'x'));
    if (moment == kSendStuck) turn(*loop);
    if (moment == kLost) theirs.reset();
    if (moment == kPaused) loop->pause(s);
    if (moment == kUnread) peer_write(theirs, "unread");
    if (moment == kData || moment == kEnd || moment == kSent || moment == kLost) {
      run_until(*loop, [&] { return s.closing_called; });
    } else {
      s.close();
    }
    s.close();  // a second one changes nothing
    loop->pause(s);
    loop->resume(s);
    EXPECT_EQ(s.closed, 0);
    run_until(*loop, [&] { return s.closed > 0; });
    for (int i = 0; i < 3; ++i) turn(*loop);
    EXPECT_EQ(s.closed, 1);
    stream.reset();
    for (int i = 0; i < 3; ++i) turn(*loop);
  }
  EXPECT_EQ(Recorder::pool().bytes_in_use(), 0u);
}

TEST_P(LoopTest, CloseInOneCallbackOfAnotherStreamThatIsReadyToo) {
  const auto loop = make();
  auto [ours, theirs] = ends();
  auto [ours2, theirs2] = ends();
  Recorder one(*loop);
  Recorder two(*loop);
  one.when_data = [&](std::string_view) {
    if (!two.closing_called) two.close();
  };
  two.when_data = [&](std::string_view) {
    if (!one.closing_called) one.close();
  };
  loop->attach(one, std::move(ours));
  loop->attach(two, std::move(ours2));
  turn(*loop);
  peer_write(theirs, "x");
  peer_write(theirs2, "x");
  run_until(*loop, [&] { return one.closed + two.closed == 1; });
  close_and_forget(one.closing_called ? two : one);
}

TEST_P(LoopTest, ADescriptorThatCannotBeReadIsALostConnection) {
  const auto loop = make();
  Recorder stream(*loop);
  loop->attach(stream, Fd(::open("/dev/null", O_RDWR | O_CLOEXEC)));
  run_until(*loop, [&] { return !stream.ends.empty(); });
  EXPECT_NE(stream.ends[0], 0);
  close_and_forget(stream);
}

TEST_P(LoopTest, MayBeDestroyedWithEverythingUnderWay) {
  auto loop = make();
  auto [ours, theirs] = ends();
  auto [ours2, theirs2] = ends();
  shrink_send_buffer(ours.get());
  Recorder stuck(*loop);
  Recorder closing(*loop);
  loop->attach(stuck, std::move(ours));
  loop->attach(closing, std::move(ours2));
  stuck.send(std::string(1 << 20, 'x'));
  turn(*loop);
  peer_write(theirs, "unseen");
  closing.close();
  loop.reset();
  EXPECT_EQ(stuck.closed + closing.closed, 0);
}

}  // namespace
}  // namespace pelikan::net
