// The parser alone: what each line becomes, what it asks to wait for, and where it gives up. Replies are tested by the
// transcript in backend/memcache.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "protocol/memcache/memcache.h"

namespace pelikan::protocol::memcache {
namespace {

using enum ParseStatus;

// A protocol that has seen its first byte.
struct Parser {
  ParseResult parse(std::string_view bytes) { return protocol.parse(bytes, request); }
  Protocol protocol;
  Request request;
};

std::string keys(std::size_t count) {
  std::string line = "get";
  for (std::size_t i = 0; i < count; ++i) line += " k" + std::to_string(i);
  return line + "\r\n";
}

TEST(Parse, TakesAGet) {
  Parser p;
  const ParseResult result = p.parse("get foo\r\nget bar");
  EXPECT_EQ(result.status, kDone);
  EXPECT_EQ(result.consumed, 9U);
  EXPECT_EQ(p.request.command, Command::kGet);
  EXPECT_EQ(p.request.key, "foo");
  EXPECT_TRUE(p.request.first_key && p.request.last_key);
}

TEST(Parse, TakesASet) {
  Parser p;
  const std::string bytes = "set foo 5 -7 3 noreply\r\nbar\r\n";
  const ParseResult result = p.parse(bytes);
  EXPECT_EQ(result.status, kDone);
  EXPECT_EQ(result.consumed, bytes.size());
  EXPECT_EQ(p.request.command, Command::kSet);
  EXPECT_EQ(p.request.key, "foo");
  EXPECT_EQ(p.request.value, "bar");
  EXPECT_EQ(p.request.flags, 5U);
  EXPECT_EQ(p.request.exptime, -7);
  EXPECT_TRUE(p.request.noreply);
}

TEST(Parse, SaysHowMuchDataIsMissing) {
  Parser p;
  const ParseResult result = p.parse("set foo 0 0 1000\r\nbar");
  EXPECT_EQ(result.status, kNeedMore);
  EXPECT_EQ(result.consumed, 18U + 1000 + 2);
}

TEST(Parse, NeverWaitsForMoreThanTheLargestValue) {
  for (const char* length : {"1048577", "1073741824", "2147483645"}) {
    Parser p;
    const std::string line = std::string("set foo 0 0 ") + length + "\r\n";
    const ParseResult result = p.parse(line);
    EXPECT_EQ(result.status, kDone) << length;
    EXPECT_EQ(p.request.refusal, Refusal::kTooLarge) << length;
    EXPECT_EQ(result.consumed, line.size() + std::stoull(length) + 2) << length;
  }
  Parser p;
  EXPECT_EQ(p.parse("set foo 0 0 1048576\r\n").status, kNeedMore);
  Protocol small(100);
  EXPECT_EQ(small.parse("set foo 0 0 101\r\n", p.request).status, kDone);
  EXPECT_EQ(p.request.refusal, Refusal::kTooLarge);
  EXPECT_EQ(small.parse("set foo 0 0 100\r\n", p.request).status, kNeedMore);
}

TEST(Parse, HandsOutOneKeyAtATime) {
  Parser p;
  std::string bytes = "gats 9 a  bb c  \r\nquit\r\n";
  std::string_view rest = bytes;
  const std::string_view expected[] = {"a", "bb", "c"};
  for (std::size_t i = 0; i < 3; ++i) {
    const ParseResult result = p.parse(rest);
    ASSERT_EQ(result.status, kDone);
    EXPECT_EQ(p.request.command, Command::kGats);
    EXPECT_EQ(p.request.key, expected[i]);
    EXPECT_EQ(p.request.exptime, 9);
    EXPECT_EQ(p.request.first_key, i == 0);
    EXPECT_EQ(p.request.last_key, i == 2);
    rest.remove_prefix(result.consumed);
  }
  EXPECT_EQ(rest, "quit\r\n");
  EXPECT_EQ(p.parse(rest).status, kDone);
  EXPECT_EQ(p.request.command, Command::kQuit);
}

// A caller that stopped in the middle of a line gives the rest of it again, whole or not.
TEST(Parse, WaitsForTheRestOfALineItHadSeen) {
  Parser p;
  const std::string bytes = "get a b c\r\n";
  const ParseResult first = p.parse(bytes);
  ASSERT_EQ(first.consumed, 6U);
  const ParseResult wait = p.parse("b c");
  EXPECT_EQ(wait.status, kNeedMore);
  EXPECT_EQ(wait.consumed, 5U);
  EXPECT_EQ(p.parse("b c\r\n").status, kDone);
  EXPECT_EQ(p.request.key, "b");
}

TEST(Parse, ChecksTheWholeLineBeforeItsFirstKey) {
  Parser p;
  std::string bytes = keys(1000);
  bytes.insert(bytes.size() - 2, " " + std::string(251, 'x') + " y");
  const ParseResult result = p.parse(bytes);
  EXPECT_EQ(result.status, kDone);
  EXPECT_EQ(result.consumed, bytes.size());
  EXPECT_EQ(p.request.refusal, Refusal::kBadFormat);
}

TEST(Parse, BoundsLines) {
  struct Row {
    std::string bytes;
    ParseStatus status;
  };
  const Row rows[] = {
      {std::string(2048, 'x'), kNeedMore},
      {std::string(2049, 'x'), kInvalid},
      {std::string(2048, 'x') + "\n", kDone},
      {std::string(2049, 'x') + "\n", kInvalid},
      {"set " + std::string(3000, 'x'), kInvalid},
      {"getx " + std::string(3000, 'x'), kInvalid},
      {"get " + std::string(3000, 'x'), kNeedMore},
      {std::string(100, ' ') + "gets " + std::string(3000, 'x'), kNeedMore},
      {std::string(101, ' ') + "gets " + std::string(3000, 'x'), kInvalid},
      {"gat " + std::string(64 * 1024 - 4, 'x'), kNeedMore},
      {"gats " + std::string(64 * 1024 - 4, 'x'), kInvalid},
      {"get " + std::string(64 * 1024 - 3, 'x') + "\n", kInvalid},
      {std::string("\x80"), kNeedMore},
      {"\x80" + std::string(23, 'x'), kDone},
  };
  for (const Row& row : rows) {
    Parser p;
    EXPECT_EQ(p.parse(row.bytes).status, row.status) << row.bytes.substr(0, 20) << " of " << row.bytes.size();
  }
}

TEST(Parse, RefusesWithAReason) {
  struct Row {
    const char* line;
    Refusal refusal;
    bool noreply;
  };
  const Row rows[] = {
      {"set a 0 0 x\r\n", Refusal::kBadFormat, false},
      {"set a 0 0 x noreply\r\n", Refusal::kBadFormat, false},  // not known to be a store: it answers
      {"set a x 0 1 noreply\r\n", Refusal::kBadFormat, true},
      {"incr a noreply\r\n", Refusal::kBadDelta, true},
      {"incr noreply\r\n", Refusal::kBadFormat, false},
      {"touch a noreply\r\n", Refusal::kBadExptime, true},
      {"flush_all 1x\r\n", Refusal::kBadExptime, false},
      {"verbosity noreply\r\n", Refusal::kBadFormat, true},
      {"verbosity\r\n", Refusal::kUnknownCommand, false},
      {"shutdown now\r\n", Refusal::kBadShutdownMode, false},
      {"foo\r\n", Refusal::kUnknownCommand, false},
      {"ab\n", Refusal::kBadFormat, false},
  };
  for (const Row& row : rows) {
    Parser p;
    EXPECT_EQ(p.parse(row.line).status, kDone) << row.line;
    EXPECT_EQ(p.request.refusal, row.refusal) << row.line;
    EXPECT_EQ(p.request.noreply, row.noreply) << row.line;
  }
}

// Random lines of words that matter: every prefix waits or gives up, and the answer to the whole does not depend on the
// prefixes seen.
TEST(Parse, AnyCutOfRandomLines) {
  const char* const words[] = {"get",   "gets",      "gat",         "set",       "cas",     "incr", "delete",
                               "touch", "flush_all", "a",           "bb",        "noreply", "0",    "1",
                               "-1",    "3",         "99999999999", "",          "x\ty",    "\r",   "\x80",
                               "stats", "quit",      "HTTP/1.0",    "verbosity", "append"};
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 3000; ++round) {
    std::string bytes;
    const std::size_t count = random() % 8;
    for (std::size_t i = 0; i < count; ++i) bytes += std::string(words[random() % std::size(words)]) + ' ';
    bytes += random() % 2 ? "\r\n" : "\n";
    bytes += "abc\r\n";
    Parser whole;
    const ParseResult expected = whole.parse(bytes);
    Parser pieces;
    for (std::size_t end = 1; end < bytes.size(); ++end) {
      const ParseResult result = pieces.parse(std::string_view(bytes).substr(0, end));
      if (result.status == kNeedMore) continue;
      EXPECT_EQ(result.status, expected.status) << bytes;
      EXPECT_EQ(result.consumed, expected.consumed) << bytes;
      EXPECT_EQ(pieces.request.refusal, whole.request.refusal) << bytes;
      EXPECT_EQ(pieces.request.command, whole.request.command) << bytes;
      break;
    }
  }
}

// A second blank takes the general way: both must understand a request in the same way, or refuse it.
TEST(Parse, TheShortWayAndTheGeneralWayAgree) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const char* const numbers[] = {
      "0",  "1",       "3",         "007",        "-1",         "",           "x",
      "3x", "1048577", "999999999", "1000000000", "4294967295", "2147483648", "18446744073709551616"};
  const auto number = [&] { return std::string(numbers[random() % (random() % 2 ? 4 : std::size(numbers))]); };
  std::size_t taken = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string key(random() % 3 == 0 ? 245 + random() % 10 : random() % 40, 'k');
    if (!key.empty() && random() % 4 == 0) key[random() % key.size()] = static_cast<char>(random() % 256);
    const bool set = random() % 2 == 0;
    const std::string end = random() % 8 == 0 ? "\n" : "\r\n";
    std::string rest = key;
    if (set) rest += ' ' + number() + ' ' + number() + ' ' + number();
    rest += end;
    if (set) rest += random() % 8 == 0 ? "abcd\r\n" : "abc\r\n";
    const std::string verb = set ? "set " : "get ";
    const std::string bytes = verb + rest;
    const std::string spaced = verb + ' ' + rest;
    Parser one;
    Parser other;
    const ParseResult result = one.parse(bytes);
    const ParseResult expected = other.parse(spaced);
    ASSERT_EQ(result.status, expected.status) << bytes;
    if (expected.consumed != 0) {
      ASSERT_EQ(result.consumed + 1, expected.consumed) << bytes;
    }
    if (result.status != kDone) continue;
    ASSERT_EQ(one.request.refusal, other.request.refusal) << bytes;
    ASSERT_EQ(one.request.command, other.request.command) << bytes;
    ASSERT_EQ(one.request.key, other.request.key) << bytes;
    ASSERT_EQ(one.request.flags, other.request.flags) << bytes;
    ASSERT_EQ(one.request.exptime, other.request.exptime) << bytes;
    ASSERT_EQ(one.request.value, other.request.value) << bytes;
    ASSERT_EQ(one.request.noreply, other.request.noreply) << bytes;
    ASSERT_EQ(one.request.first_key, other.request.first_key) << bytes;
    ASSERT_EQ(one.request.last_key, other.request.last_key) << bytes;
    taken += one.request.refusal == Refusal::kNone;
  }
  EXPECT_GT(taken, 1000U);
}

}  // namespace
}  // namespace pelikan::protocol::memcache
