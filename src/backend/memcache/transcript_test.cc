// The whole protocol by its transcript: each case as it stands, then with one step cut in two at every byte, so that no
// answer may depend on how the bytes came.
#include <gtest/gtest.h>

#include "testing/memcache/server.h"
#include "testing/memcache/transcript.h"

namespace pelikan::testing {
namespace {

constexpr std::size_t kNoCut = static_cast<std::size_t>(-1);
// Steps longer than this are cut only near both ends and at a few places between.
constexpr std::size_t kCutAllBytesMax = 1024;
constexpr std::size_t kNearAnEnd = 40;
constexpr std::size_t kPlacesBetween = 8;

// Where to cut: step `step`, before byte `at`.
struct Cut {
  std::size_t step = kNoCut;
  std::size_t at = 0;
};

std::string shown(std::string_view bytes) {
  return std::string(bytes.substr(0, 300)) + (bytes.size() > 300 ? "..." : "");
}

[[nodiscard]] bool play(const TranscriptCase& test, Cut cut) {
  MemcacheServer server;
  Talker client(server.backend);
  std::string token = "0";
  for (std::size_t i = 0; i < test.steps.size(); ++i) {
    const TranscriptStep& step = test.steps[i];
    if (step.advance_sec != 0) server.advance(step.advance_sec);
    const std::string send = fill_in(step.send, token);
    const std::size_t at = i == cut.step ? std::min(cut.at, send.size()) : 0;
    std::string reply = client.say(std::string_view(send).substr(0, at));
    reply += client.say(std::string_view(send).substr(at));
    const bool good = matches(step.expect, reply, token) && client.closed() == step.closes;
    EXPECT_TRUE(good) << test.name << "\nsent: " << shown(send) << "\nreply: " << shown(reply)
                      << "\nclosed: " << client.closed() << "\nstep " << cut.step << " cut at " << cut.at;
    if (!good) return false;
  }
  return true;
}

TEST(Transcript, HasCases) { EXPECT_GT(load_transcript().size(), 50U); }

TEST(Transcript, HoldsWhole) {
  for (const TranscriptCase& test : load_transcript()) (void)play(test, {});
}

TEST(Transcript, HoldsCutAtEveryByte) {
  for (const TranscriptCase& test : load_transcript()) {
    for (std::size_t step = 0; step < test.steps.size(); ++step) {
      const std::size_t bytes = test.steps[step].send.size();
      for (std::size_t at = 1; at < bytes; ++at) {
        const bool near_an_end = at < kNearAnEnd || bytes - at < kNearAnEnd;
        if (bytes > kCutAllBytesMax && !near_an_end && at % (bytes / kPlacesBetween) != 0) continue;
        if (!play(test, {step, at})) return;
      }
    }
  }
}

// As much as possible in one piece: requests that were parsed, and perhaps foreseen, together.
TEST(Transcript, HoldsInOnePiece) {
  for (const TranscriptCase& test : load_transcript()) {
    MemcacheServer stepwise_server;
    MemcacheServer server;
    Talker stepwise(stepwise_server.backend);
    Talker client(server.backend);
    std::string token = "0";
    std::string piece;
    std::string expected;
    for (const TranscriptStep& step : test.steps) {
      if (step.advance_sec != 0) {
        EXPECT_EQ(client.say(piece), expected) << test.name;
        piece.clear();
        expected.clear();
        stepwise_server.advance(step.advance_sec);
        server.advance(step.advance_sec);
      }
      const std::string send = fill_in(step.send, token);
      const std::string reply = stepwise.say(send);
      (void)matches(step.expect, reply, token);
      piece += send;
      expected += reply;
    }
    EXPECT_EQ(client.say(piece), expected) << test.name;
    EXPECT_EQ(client.closed(), stepwise.closed()) << test.name;
  }
}

// Byte by byte: the parser sees every prefix.
TEST(Transcript, HoldsByteByByte) {
  for (const TranscriptCase& test : load_transcript()) {
    MemcacheServer server;
    Talker client(server.backend);
    std::string token = "0";
    for (const TranscriptStep& step : test.steps) {
      if (step.advance_sec != 0) server.advance(step.advance_sec);
      const std::string send = fill_in(step.send, token);
      if (send.size() > 100'000) break;
      std::string reply;
      for (const char c : send) reply += client.say({&c, 1});
      EXPECT_TRUE(matches(step.expect, reply, token)) << test.name << "\nreply: " << shown(reply);
    }
  }
}

}  // namespace
}  // namespace pelikan::testing
