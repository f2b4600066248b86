// The reply scanners: tables of (replies in, what is counted), each row given whole, in two pieces cut at every byte,
// and byte by byte.
#include "tools/bench/dialogue.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "tools/bench/block_dialogue.h"

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

Options speaking(Protocol protocol, Options options) {
  options.protocol = protocol;
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
  const auto dialogue = make_dialogue(speaking(protocol, options), count, workload);
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
    const Options options = options_for(action);
    Workload workload(options, 1);
    BufferPool pool(1 << 20);
    Buffer out(pool);
    const auto dialogue = make_dialogue(options, 2, workload);
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
  make_dialogue(options, 1, workload)->compose(1, out);
  EXPECT_EQ(out.view(), "set 0000 0 77 10\r\n" + value() + "\r\n");
}

TEST(Dialogue, MoreIsAskedWhileAnswersAreOutstanding) {
  for (const auto& [protocol, reply] : {std::pair(Protocol::kMemcache, "END\r\n"), {Protocol::kPing, "PONG\r\n"}}) {
    const Options options = options_for(Action::kGet);
    Workload workload(options, 1);
    BufferPool pool(1 << 20);
    Buffer out(pool);
    Tally tally;
    const auto dialogue = make_dialogue(speaking(protocol, options), 4, workload);
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
  const std::string line(kHeadBytesMax + 1, 'E');
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

// What is composed for two requests of one kind.
std::string requests(Protocol protocol, const Options& options) {
  Workload workload(options, 1);
  BufferPool pool(1 << 20);
  Buffer out(pool);
  make_dialogue(speaking(protocol, options), 2, workload)->compose(2, out);
  return std::string(out.view());
}

TEST(MemcacheDialogue, AsksForSeveralKeys) {
  Options options = options_for(Action::kGet);
  options.keys_per_get = 3;
  EXPECT_EQ(requests(Protocol::kMemcache, options), "get 0000 0000 0000\r\nget 0000 0000 0000\r\n");
  const std::string value_line = "VALUE 0000 0 10\r\n" + value() + "\r\n";
  const std::string wrong = "VALUE 0001 0 10\r\n" + value() + "\r\n";
  const std::string all = value_line + value_line + value_line + "END\r\n";
  const std::pair<std::string, Seen> rows[] = {
      {all + all, {.hits = 6}},
      {"END\r\n" + all, {.hits = 3, .misses = 3}},
      {value_line + "END\r\n" + all, {.hits = 4, .misses = 2}},
      {value_line + wrong + value_line + "END\r\nEND\r\n", {.hits = 2, .misses = 3, .wrong = 1}},
      {"SERVER_ERROR out of memory\r\n" + all, {.hits = 3, .refused = 1}},
      {value_line + "SERVER_ERROR out of memory\r\n" + all, {.hits = 3, .refused = 1}},
      {all + value_line + value_line, {.outstanding = 1, .hits = 3}},
      {value_line + value_line + value_line + value_line, {.understood = false}},
      {value_line + "STORED\r\n", {.understood = false}},
  };
  for (const auto& [replies, seen] : rows) expect(Protocol::kMemcache, options, 2, replies, seen);
}

// Any of the asked keys may be missing; a value belongs to the key that its line names.
TEST(MemcacheDialogue, MissingKeysAreLeftOut) {
  Options options = options_for(Action::kGet);
  options.keys = 5000;
  options.keys_per_get = 4;
  for (int present = 0; present < 16; ++present) {
    Workload workload(options, 1);
    BufferPool pool(1 << 20);
    Buffer out(pool);
    const auto dialogue = make_dialogue(options, 1, workload);
    dialogue->compose(1, out);
    std::string reply;
    std::uint64_t hits = 0;
    for (unsigned i = 0; i < 4; ++i) {
      if ((present >> i & 1) == 0) continue;
      const std::string key(out.view().substr(4 + std::size_t{5} * i, 4));
      const std::string_view bytes = workload.value(static_cast<std::uint32_t>(std::stoul(key)));
      reply += "VALUE " + key + " 0 10\r\n" + std::string(bytes) + "\r\n";
      ++hits;
    }
    expect(Protocol::kMemcache, options, 1, reply + "END\r\n", {.hits = hits, .misses = 4 - hits});
  }
}

TEST(MetaDialogue, Requests) {
  EXPECT_EQ(requests(Protocol::kMeta, options_for(Action::kGet)), "mg 0000 v\r\nmg 0000 v\r\n");
  EXPECT_EQ(requests(Protocol::kMeta, options_for(Action::kDelete)), "md 0000\r\nmd 0000\r\n");
  Options options = options_for(Action::kSet);
  const std::string data = "\r\n" + value() + "\r\n";
  EXPECT_EQ(requests(Protocol::kMeta, options), "ms 0000 10" + data + "ms 0000 10" + data);
  options.ttl_sec = 60;
  EXPECT_EQ(requests(Protocol::kMeta, options), "ms 0000 10 T60" + data + "ms 0000 10 T60" + data);
}

TEST(MetaDialogue, Replies) {
  const std::string good = "VA 10\r\n" + value() + "\r\n";
  std::string torn = good;
  torn[8] = static_cast<char>(torn[8] ^ 1);
  const std::pair<std::string, Seen> gets[] = {
      {good + good, {.hits = 2}},
      {"EN\r\n" + good, {.hits = 1, .misses = 1}},
      {torn + good, {.hits = 1, .wrong = 1}},
      {"VA 5\r\nshort\r\n" + good, {.hits = 1, .wrong = 1}},
      {"VA 0\r\n\r\n" + good, {.hits = 1, .wrong = 1}},
      {"CLIENT_ERROR bad command line format\r\n" + good, {.hits = 1, .refused = 1}},
      {"VA 10\r\n" + value(), {.outstanding = 2}},
      {good + good + "EN\r\n", {.understood = false}},
      {"HD\r\n", {.understood = false}},
      {"VA\r\n", {.understood = false}},
      {"VA -1\r\n", {.understood = false}},
      {"VA 10\r\n" + value() + "xx", {.understood = false}},
  };
  for (const auto& [replies, seen] : gets) expect(Protocol::kMeta, options_for(Action::kGet), 2, replies, seen);
  const Options set = options_for(Action::kSet);
  expect(Protocol::kMeta, set, 2, "HD\r\nNS\r\n", {.refused = 1});
  expect(Protocol::kMeta, set, 2, "HD\r\nEN\r\n", {.understood = false});
  expect(Protocol::kMeta, set, 1, "VA 0\r\n\r\n", {.understood = false});
  expect(Protocol::kMeta, options_for(Action::kDelete), 2, "HD\r\nNF\r\n", {});
  expect(Protocol::kMeta, options_for(Action::kDelete), 2, "HD\r\nEN\r\n", {.understood = false});
}

TEST(RespDialogue, Requests) {
  const std::string get = "*2\r\n$3\r\nGET\r\n$4\r\n0000\r\n";
  EXPECT_EQ(requests(Protocol::kResp, options_for(Action::kGet)), get + get);
  const std::string erase = "*2\r\n$3\r\nDEL\r\n$4\r\n0000\r\n";
  EXPECT_EQ(requests(Protocol::kResp, options_for(Action::kDelete)), erase + erase);
  Options options = options_for(Action::kSet);
  const std::string set = "\r\n$3\r\nSET\r\n$4\r\n0000\r\n$10\r\n" + value() + "\r\n";
  EXPECT_EQ(requests(Protocol::kResp, options), "*3" + set + "*3" + set);
  options.ttl_sec = 60;
  const std::string expires = set + "$2\r\nEX\r\n$2\r\n60\r\n";
  EXPECT_EQ(requests(Protocol::kResp, options), "*5" + expires + "*5" + expires);
  options = options_for(Action::kGet);
  options.keys_per_get = 2;
  const std::string several = "*3\r\n$4\r\nMGET\r\n$4\r\n0000\r\n$4\r\n0000\r\n";
  EXPECT_EQ(requests(Protocol::kResp, options), several + several);
}

TEST(RespDialogue, Replies) {
  const std::string good = "$10\r\n" + value() + "\r\n";
  std::string torn = good;
  torn[14] = static_cast<char>(torn[14] ^ 1);
  const std::pair<std::string, Seen> gets[] = {
      {good + good, {.hits = 2}},
      {"$-1\r\n" + good, {.hits = 1, .misses = 1}},
      {torn + good, {.hits = 1, .wrong = 1}},
      {"$0\r\n\r\n" + good, {.hits = 1, .wrong = 1}},
      {"$14\r\n0123456789\r\n\r\n\r\n" + good, {.hits = 1, .wrong = 1}},
      {"-LOADING redis is loading\r\n" + good, {.hits = 1, .refused = 1}},
      {"$10\r\n" + value() + "\r", {.outstanding = 2}},
      {good + good + good, {.understood = false}},
      {"+OK\r\n", {.understood = false}},
      {":1\r\n", {.understood = false}},
      {"*1\r\n" + good, {.understood = false}},
      {"$x\r\n", {.understood = false}},
      {"$-2\r\n", {.understood = false}},
      {"$-1\n", {.understood = false}},
      {"$10\r\n" + value() + "xx", {.understood = false}},
  };
  for (const auto& [replies, seen] : gets) expect(Protocol::kResp, options_for(Action::kGet), 2, replies, seen);
  const Options set = options_for(Action::kSet);
  expect(Protocol::kResp, set, 2, "+OK\r\n+OK\r\n", {});
  expect(Protocol::kResp, set, 2, "+OK\r\n-OOM command not allowed\r\n", {.refused = 1});
  expect(Protocol::kResp, set, 2, "+OK\r\n$-1\r\n", {.understood = false});
  expect(Protocol::kResp, options_for(Action::kDelete), 2, ":1\r\n:0\r\n", {});
  expect(Protocol::kResp, options_for(Action::kDelete), 2, ":1\r\n:2\r\n", {.understood = false});
}

TEST(RespDialogue, RepliesWithSeveralValues) {
  Options options = options_for(Action::kGet);
  options.keys_per_get = 3;
  const std::string good = "$10\r\n" + value() + "\r\n";
  const std::string all = "*3\r\n" + good + good + good;
  const std::pair<std::string, Seen> rows[] = {
      {all + all, {.hits = 6}},
      {"*3\r\n" + good + "$-1\r\n" + good + all, {.hits = 5, .misses = 1}},
      {"*3\r\n$-1\r\n$-1\r\n$-1\r\n" + all, {.hits = 3, .misses = 3}},
      {"*3\r\n$3\r\nfoo\r\n" + good + good + all, {.hits = 5, .wrong = 1}},
      {"-ERR wrong\r\n" + all, {.hits = 3, .refused = 1}},
      {all + "*3\r\n" + good + good, {.outstanding = 1, .hits = 3}},
      {"*2\r\n" + good + good, {.understood = false}},
      {"*3\r\n*3\r\n", {.understood = false}},
      {"*3\r\n" + good + "-ERR inside\r\n", {.understood = false}},
      {good, {.understood = false}},
  };
  for (const auto& [replies, seen] : rows) expect(Protocol::kResp, options, 2, replies, seen);
}

// A header of the binary protocol, then `body`; the first `extras` bytes of it are extras.
std::string packet(char magic, char opcode, unsigned key, unsigned extras, unsigned status, const std::string& body,
                   char cas = 0) {
  const auto byte = [](std::size_t number) { return static_cast<char>(number & 0xff); };
  return std::string{magic, opcode, 0, byte(key), byte(extras), 0, 0, byte(status)} +
         std::string{0, 0, byte(body.size() >> 8), byte(body.size())} + std::string(4, '\0') + std::string(7, '\0') +
         cas + body;
}

TEST(BinaryDialogue, Requests) {
  const std::string get = packet('\x80', 0, 4, 0, 0, "0000");
  EXPECT_EQ(requests(Protocol::kBinary, options_for(Action::kGet)), get + get);
  const std::string erase = packet('\x80', 4, 4, 0, 0, "0000");
  EXPECT_EQ(requests(Protocol::kBinary, options_for(Action::kDelete)), erase + erase);
  Options options = options_for(Action::kSet);
  options.ttl_sec = 258;
  const std::string set = packet('\x80', 1, 4, 8, 0, std::string("\0\0\0\0\0\0\1\2", 8) + "0000" + value());
  EXPECT_EQ(requests(Protocol::kBinary, options), set + set);
}

TEST(BinaryDialogue, GetReplies) {
  const std::string flags(4, '\0');
  const std::string good = packet('\x81', 0, 0, 4, 0, flags + value(), 7);
  const std::string other_cas = packet('\x81', 0, 0, 4, 0, flags + value(), 9);
  std::string torn = good;
  torn.back() = static_cast<char>(torn.back() ^ 1);
  const std::pair<std::string, Seen> rows[] = {
      {good + other_cas, {.hits = 2}},
      {packet('\x81', 0, 0, 0, 1, "Not found") + good, {.hits = 1, .misses = 1}},
      {torn + good, {.hits = 1, .wrong = 1}},
      {packet('\x81', 0, 0, 4, 0, flags) + good, {.hits = 1, .wrong = 1}},
      {packet('\x81', 0, 0, 4, 0, flags + "short") + good, {.hits = 1, .wrong = 1}},
      {packet('\x81', 0, 0, 4, 0, std::string("\0\0\0\1", 4) + value()) + good, {.hits = 1, .wrong = 1}},
      {packet('\x81', 0, 0, 0, 0x82, "Out of memory") + good, {.hits = 1, .refused = 1}},
      {good + good.substr(0, 30), {.outstanding = 1, .hits = 1}},
      {good + good + good, {.understood = false}},
      {"END\r\n", {.understood = false}},
      {packet('\x80', 0, 0, 4, 0, flags + value()), {.understood = false}},
      {packet('\x81', 1, 0, 0, 0, ""), {.understood = false}},
      {packet('\x81', 0, 0, 0, 0, value()), {.understood = false}},
      {packet('\x81', 0, 4, 4, 0, flags + "0000" + value()), {.understood = false}},
      {packet('\x81', 0, 0, 4, 0, "xx") + "xx", {.understood = false}},
      {packet('\x81', 0, 0, 0, 0x82, std::string(2000, 'x')), {.understood = false}},
  };
  for (const auto& [replies, seen] : rows) expect(Protocol::kBinary, options_for(Action::kGet), 2, replies, seen);
}

TEST(BinaryDialogue, OtherReplies) {
  const std::string stored = packet('\x81', 1, 0, 0, 0, "", 5);
  const std::string too_large = packet('\x81', 1, 0, 0, 3, "Too large.");
  expect(Protocol::kBinary, options_for(Action::kSet), 2, stored + stored, {});
  expect(Protocol::kBinary, options_for(Action::kSet), 2, too_large + stored, {.refused = 1});
  expect(Protocol::kBinary, options_for(Action::kSet), 2, packet('\x81', 1, 0, 0, 1, "Not found") + stored,
         {.refused = 1});
  expect(Protocol::kBinary, options_for(Action::kSet), 1, packet('\x81', 1, 0, 0, 0, "body"), {.understood = false});
  const std::string deleted = packet('\x81', 4, 0, 0, 0, "");
  expect(Protocol::kBinary, options_for(Action::kDelete), 2, deleted + packet('\x81', 4, 0, 0, 1, "Not found"), {});
  expect(Protocol::kBinary, options_for(Action::kDelete), 1, stored, {.understood = false});
}

TEST(BinaryDialogue, EmptyValuesEndWithTheirHeader) {
  Options options = options_for(Action::kGet);
  options.value_bytes = 0;
  const std::string empty = packet('\x81', 0, 0, 4, 0, std::string(4, '\0'));
  expect(Protocol::kBinary, options, 2, empty + empty, {.hits = 2});
}

// Keys of every length that can be: shorter than eight digits, and more digits than eight.
TEST(Dialogue, KeysOfEveryLength) {
  for (const auto& [keys, key_bytes] : {std::pair(10u, 1u),
                                        {10'000'000u, 7u},
                                        {100'000'000u, 8u},
                                        {1'000'000'000u, 9u},
                                        {4'000'000'000u, 10u},
                                        {4'000'000'000u, 250u}}) {
    Options options = options_for(Action::kGet);
    options.keys = keys;
    options.key_bytes = key_bytes;
    Workload workload(options, 3);
    Workload same(options, 3);
    BufferPool pool(1 << 20);
    Buffer out(pool);
    const auto dialogue = make_dialogue(options, 100, workload);
    dialogue->compose(100, out);
    std::string wanted;
    std::string replies;
    for (int i = 0; i < 100; ++i) {
      const std::uint32_t number = same.next().key;
      std::string key = std::to_string(number);
      key.insert(0, key_bytes - key.size(), '0');
      wanted += "get " + key + "\r\n";
      replies += hit(key, same.value(number));
    }
    EXPECT_EQ(out.view(), wanted);
    Tally tally;
    EXPECT_TRUE(dialogue->scan(replies, tally));
    EXPECT_EQ(tally.hits, 100u);
    EXPECT_EQ(tally.keys, 100u);
  }
}

TEST(PingDialogue, Replies) {
  const Options options;
  expect(Protocol::kPing, options, 2, "PONG\r\nPONG\r\n", {});
  expect(Protocol::kPing, options, 2, "PONG\r\nPO", {.outstanding = 1});
  expect(Protocol::kPing, options, 1, "PONG\r\nP", {.understood = false});
  expect(Protocol::kPing, options, 2, "PONG\r\nPING\r\n", {.understood = false});
  expect(Protocol::kPing, options, 1, "pong\r\n", {.understood = false});
}

TEST(EchoDialogue, RequestsAndReplies) {
  for (const auto& [in, out] : {std::pair(1u, 1u), {7u, 30u}, {5000u, 9000u}}) {
    Options options;
    options.echo = {.request_bytes = in, .reply_bytes = out};
    const std::string reply = echo_block(out);
    EXPECT_EQ(requests(Protocol::kEcho, options), echo_block(in) + echo_block(in));
    const auto scanned = [&options](const std::string& replies, std::uint32_t count) {
      return scan(Protocol::kEcho, options, count, {replies});
    };
    EXPECT_EQ(scanned(reply + reply, 2), Seen{});
    EXPECT_EQ(scanned(reply + reply, 3), Seen{.outstanding = 1});
  }
  Options options;
  options.echo = {.request_bytes = 3, .reply_bytes = 30};
  const std::string reply = echo_block(30);
  std::string torn = reply + reply;
  torn[45] = static_cast<char>(torn[45] ^ 1);
  expect(Protocol::kEcho, options, 2, reply + reply, {});
  expect(Protocol::kEcho, options, 3, reply + reply + reply.substr(0, 29), {.outstanding = 1});
  expect(Protocol::kEcho, options, 2, torn, {.understood = false});
  expect(Protocol::kEcho, options, 1, reply + reply.substr(0, 1), {.understood = false});
}

}  // namespace
}  // namespace pelikan::tools::bench
