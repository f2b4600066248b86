// The reply scanners: tables of (replies in, what is counted), each row given whole, in two pieces cut at every byte,
// and byte by byte.
#include "tools/bench/dialogue.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

namespace pelikan::tools::bench {
namespace {

constexpr std::uint32_t kValueBytes = 10;

Options options_for(Action action) {
  Options options;
  options.keys = 1;  // so that every request is for key 0
  options.key_bytes = 4;
  options.value_bytes = kValueBytes;
  options.ratio = {0, 0, 0};
  options.ratio[static_cast<std::size_t>(action)] = 1;
  return options;
}

struct Seen {
  bool understood = true;
  std::uint32_t outstanding = 0;
  std::uint64_t hits = 0, misses = 0, refused = 0, wrong = 0;
  bool operator==(const Seen&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Seen& seen) {
  return out << "understood " << seen.understood << " outstanding " << seen.outstanding << " hits " << seen.hits
             << " misses " << seen.misses << " refused " << seen.refused << " wrong " << seen.wrong;
}

// Asks `count` times and gives `pieces` as the replies.
Seen scan(Protocol protocol, const Options& options, std::uint32_t count, const std::vector<std::string_view>& pieces) {
  Workload workload(options, 1);
  BufferPool pool(1 << 20);
  Buffer out(pool);
  const auto dialogue = make_dialogue(protocol, count, workload);
  dialogue->compose(count, out);
  Tally tally;
  Seen seen;
  for (const std::string_view piece : pieces) seen.understood = seen.understood && dialogue->scan(piece, tally);
  if (!seen.understood) return Seen{.understood = false};
  seen.outstanding = dialogue->outstanding();
  seen.hits = tally.hits;
  seen.misses = tally.misses;
  seen.refused = tally.errors(Trouble::kRefused);
  seen.wrong = tally.errors(Trouble::kWrongValue);
  return seen;
}

void expect(Protocol protocol, const Options& options, std::uint32_t count, std::string_view replies,
            const Seen& wanted) {
  SCOPED_TRACE("replies: " + std::string(replies.substr(0, 200)));
  EXPECT_EQ(scan(protocol, options, count, {replies}), wanted);
  for (std::size_t cut = 1; cut < replies.size(); ++cut) {
    EXPECT_EQ(scan(protocol, options, count, {replies.substr(0, cut), replies.substr(cut)}), wanted)
        << "cut at " << cut;
  }
  std::vector<std::string_view> bytes;
  for (std::size_t i = 0; i < replies.size(); ++i) bytes.push_back(replies.substr(i, 1));
  EXPECT_EQ(scan(protocol, options, count, bytes), wanted) << "byte by byte";
}

std::string value() { return std::string(Workload(options_for(Action::kGet), 1).value(0)); }

std::string hit(std::string_view key, std::string_view bytes) {
  return "VALUE " + std::string(key) + " 0 " + std::to_string(bytes.size()) + "\r\n" + std::string(bytes) +
         "\r\nEND\r\n";
}

TEST(MemcacheDialogue, Requests) {
  const std::pair<Action, std::string> rows[] = {{Action::kGet, "get 0000\r\n"},
                                                 {Action::kDelete, "delete 0000\r\n"},
                                                 {Action::kSet, "set 0000 0 0 10\r\n" + value() + "\r\n"}};
  for (const auto& [action, request] : rows) {
    Workload workload(options_for(action), 1);
    BufferPool pool(1 << 20);
    Buffer out(pool);
    const auto dialogue = make_dialogue(Protocol::kMemcache, 2, workload);
    dialogue->compose(2, out);
    EXPECT_EQ(out.view(), request + request);
    EXPECT_EQ(dialogue->outstanding(), 2u);
  }
}

TEST(MemcacheDialogue, SetsWithATimeToLive) {
  Options options = options_for(Action::kSet);
  options.ttl_sec = 77;
  Workload workload(options, 1);
  BufferPool pool(1 << 20);
  Buffer out(pool);
  make_dialogue(Protocol::kMemcache, 1, workload)->compose(1, out);
  EXPECT_EQ(out.view(), "set 0000 0 77 10\r\n" + value() + "\r\n");
}

TEST(Dialogue, MoreIsAskedWhileAnswersAreOutstanding) {
  for (const auto& [protocol, reply] : {std::pair(Protocol::kMemcache, "END\r\n"), {Protocol::kPing, "PONG\r\n"}}) {
    Workload workload(options_for(Action::kGet), 1);
    BufferPool pool(1 << 20);
    Buffer out(pool);
    Tally tally;
    const auto dialogue = make_dialogue(protocol, 4, workload);
    dialogue->compose(3, out);
    for (int i = 0; i < 20; ++i) {
      ASSERT_TRUE(dialogue->scan(reply, tally));
      EXPECT_EQ(dialogue->outstanding(), 2u);
      dialogue->compose(1, out);
      EXPECT_EQ(dialogue->outstanding(), 3u);
    }
    const std::string three = std::string(reply) + reply + reply;
    EXPECT_TRUE(dialogue->scan(three, tally));
    EXPECT_FALSE(dialogue->scan(reply, tally));
  }
}

TEST(MemcacheDialogue, GetReplies) {
  const Options options = options_for(Action::kGet);
  const std::string good = hit("0000", value());
  std::string torn = good;
  torn[torn.size() - 8] = static_cast<char>(torn[torn.size() - 8] ^ 1);  // the value's last byte
  const std::pair<std::string, Seen> rows[] = {
      {"END\r\nEND\r\n", {.misses = 2}},
      {good + good, {.hits = 2}},
      {good + "END\r\n", {.hits = 1, .misses = 1}},
      {"END\r\n" + good.substr(0, 30), {.outstanding = 1, .misses = 1}},
      {torn + good, {.hits = 1, .wrong = 1}},
      {hit("0001", value()) + good, {.hits = 1, .wrong = 1}},
      {hit("0000", "short") + good, {.hits = 1, .wrong = 1}},
      {hit("0000", "") + good, {.hits = 1, .wrong = 1}},
      {hit("0000", value() + "\r\nEND\r\nlonger") + good, {.hits = 1, .wrong = 1}},
      {"VALUE 0000 7 10\r\n" + value() + "\r\nEND\r\n" + good, {.hits = 1, .wrong = 1}},
      {"SERVER_ERROR out of memory\r\n" + good, {.hits = 1, .refused = 1}},
      {"ERROR\r\nCLIENT_ERROR bad command line format\r\n", {.refused = 2}},
      {good + good + "END\r\n", {.understood = false}},  // one reply too many
      {"STORED\r\n", {.understood = false}},
      {"END\n", {.understood = false}},
      {"\r\n", {.understood = false}},
      {"VALUE\r\n", {.understood = false}},
      {"VALUE 0000 0\r\n", {.understood = false}},
      {"VALUE 0000 0 -1\r\n", {.understood = false}},
      {"VALUE 0000 0 99999999999\r\n", {.understood = false}},
      {"VALUE 0000 0 10 17 99\r\n", {.understood = false}},
      {"VALUE 0000 0 10\r\n" + value() + "xxEND\r\n", {.understood = false}},
      {"VALUE 0000 0 10\r\n" + value() + "\r\nVALUE 0000 0 10\r\n", {.understood = false}},
      {std::string("\0\xff\r\n", 4), {.understood = false}},
  };
  for (const auto& [replies, seen] : rows) expect(Protocol::kMemcache, options, 2, replies, seen);
}

TEST(MemcacheDialogue, SetAndDeleteReplies) {
  const Options set = options_for(Action::kSet);
  expect(Protocol::kMemcache, set, 2, "STORED\r\nSTORED\r\n", {});
  expect(Protocol::kMemcache, set, 2, "SERVER_ERROR object too large for cache\r\nSTORED\r\n", {.refused = 1});
  expect(Protocol::kMemcache, set, 2, "STORED\r\nEND\r\n", {.understood = false});
  expect(Protocol::kMemcache, set, 1, "VALUE 0000 0 0\r\n", {.understood = false});
  const Options erase = options_for(Action::kDelete);
  expect(Protocol::kMemcache, erase, 2, "DELETED\r\nNOT_FOUND\r\n", {});
  expect(Protocol::kMemcache, erase, 2, "DELETED\r\nSTORED\r\n", {.understood = false});
}

TEST(MemcacheDialogue, AnEndlessLineIsGarbage) {
  const Options options = options_for(Action::kGet);
  const std::string line(kLineBytesMax + 1, 'E');
  EXPECT_FALSE(scan(Protocol::kMemcache, options, 1, {line}).understood);
  EXPECT_FALSE(scan(Protocol::kMemcache, options, 1, {line.substr(0, 1000), line.substr(0, 1000)}).understood);
}

TEST(MemcacheDialogue, EveryValueIsFollowedToItsEnd) {
  // A foreign value of 3 GB is skipped without being kept.
  const std::string block(1 << 20, 'x');
  std::vector<std::string_view> pieces{"VALUE 0000 0 3221225472\r\n"};
  for (int i = 0; i < 3072; ++i) pieces.emplace_back(block);
  pieces.emplace_back("\r\nEND\r\n");
  EXPECT_EQ(scan(Protocol::kMemcache, options_for(Action::kGet), 1, pieces), (Seen{.wrong = 1}));
}

TEST(PingDialogue, Replies) {
  const Options options;
  expect(Protocol::kPing, options, 2, "PONG\r\nPONG\r\n", {});
  expect(Protocol::kPing, options, 2, "PONG\r\nPO", {.outstanding = 1});
  expect(Protocol::kPing, options, 1, "PONG\r\nP", {.understood = false});
  expect(Protocol::kPing, options, 2, "PONG\r\nPING\r\n", {.understood = false});
  expect(Protocol::kPing, options, 1, "pong\r\n", {.understood = false});
}

}  // namespace
}  // namespace pelikan::tools::bench
