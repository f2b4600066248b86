// What the transcript cannot say: counters, stats and their framing, bounds on memory, a full heap, and random commands
// against a model of what memcached would store.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <random>
#include <sstream>

#include "backend/memcache/decimal_value.h"
#include "testing/memcache/server.h"

namespace pelikan::backend::memcache {
namespace {

using testing::MemcacheServer;
using testing::Talker;

// The lines of a stats reply, name to value; the last must be END.
std::map<std::string, std::string> stats(MemcacheServer& server, const std::string& sub = "") {
  std::istringstream lines(server.ask("stats" + sub + "\r\n"));
  std::map<std::string, std::string> found;
  std::string line, last;
  while (std::getline(lines, line)) {
    last = line;
    if (!line.starts_with("STAT ")) continue;
    const std::size_t blank = line.find(' ', 5);
    EXPECT_NE(blank, line.npos) << line;
    EXPECT_TRUE(line.ends_with('\r')) << line;
    const auto [at, fresh] = found.emplace(line.substr(5, blank - 5), line.substr(blank + 1, line.size() - blank - 2));
    EXPECT_TRUE(fresh) << "twice: " << at->first;
  }
  EXPECT_EQ(last, "END\r");
  return found;
}

TEST(Stats, CountsWhatHappened) {
  MemcacheServer server;
  server.ask("set a 0 0 1\r\n1\r\nset b 0 0 1\r\nx\r\nadd a 0 0 1\r\n2\r\nget a b none a\r\ngets a nope\r\n");
  server.ask("incr a 1\r\nincr none 1\r\nincr b 1\r\ndecr a 1\r\ndelete b\r\ndelete b\r\ntouch a 0\r\ntouch b 0\r\n");
  server.ask("gat 0 a b\r\ncas none 0 0 1 1\r\nx\r\ncas a 0 0 1 1\r\nx\r\nset c 0 0 9999999\r\n");
  server.ask("set c 0 0 1\r\nbad\r\nflush_all\r\n");
  auto found = stats(server);
  const std::pair<const char*, const char*> expected[] = {
      {"cmd_get", "6"},     {"get_hits", "4"},   {"get_misses", "2"},      {"cmd_set", "6"},     {"incr_hits", "1"},
      {"incr_misses", "1"}, {"decr_hits", "1"},  {"decr_misses", "0"},     {"delete_hits", "1"}, {"delete_misses", "1"},
      {"cmd_touch", "4"},   {"touch_hits", "2"}, {"touch_misses", "2"},    {"cas_misses", "1"},  {"cas_badval", "1"},
      {"cas_hits", "0"},    {"cmd_flush", "1"},  {"store_too_large", "1"}, {"version", "1.2.3"}};
  for (const auto& [name, value] : expected) EXPECT_EQ(found[name], value) << name;
}

TEST(Stats, ResetZeroesCountsButNotGaugesAndNotTheMetrics) {
  MemcacheServer server;
  server.host.fake_counts.total_connections = 5;
  server.host.fake_counts.curr_connections = 3;
  server.ask("set a 0 0 1\r\n1\r\nget a\r\n");
  EXPECT_EQ(server.ask("stats reset\r\n"), "RESET\r\n");
  auto found = stats(server);
  EXPECT_EQ(found["cmd_get"], "0");
  EXPECT_EQ(found["cmd_set"], "0");
  EXPECT_EQ(found["total_connections"], "0");
  EXPECT_EQ(found["curr_connections"], "3");
  EXPECT_EQ(found["curr_items"], "1");
  EXPECT_GE(metrics::snapshot().value("get_key_hit"), 1);
  server.ask("get a\r\n");
  EXPECT_EQ(stats(server)["cmd_get"], "1");
}

// What prometheus-memcached-exporter needs of the four replies it asks for.
TEST(Stats, FramingThatTheExporterReads) {
  MemcacheServer server;
  server.host.fake_settings.engine_reason = "io_uring_queue_init: Operation not permitted";
  server.host.fake_settings.unix_socket = "/tmp/a b";
  server.ask("set a 0 0 1\r\n1\r\n");
  for (const char* sub : {"", " slabs", " items", " settings"}) {
    for (const auto& [name, value] : stats(server, sub)) {
      EXPECT_FALSE(value.empty()) << name;
      EXPECT_EQ(value.find(' '), value.npos) << name;
      if (std::string_view(sub) == " settings") continue;
      const auto colons = std::count(name.begin(), name.end(), ':');
      const std::string number = colons == 1 ? name.substr(0, name.find(':')) : name.substr(name.find(':') + 1, 1);
      EXPECT_TRUE(colons == 0 || number == "1") << name;
    }
  }
  const std::string user = stats(server)["rusage_user"];
  EXPECT_EQ(user.size() - user.find('.'), 7U) << user;
  EXPECT_EQ(stats(server, " items")["items:1:number"], "1");
  EXPECT_EQ(stats(server, " slabs")["1:cmd_set"], "1");
  EXPECT_EQ(stats(server, " settings")["maxconns"], "0");
}

TEST(Stats, ListsConnections) {
  MemcacheServer server;
  server.host.fake_connections = {{.fd = 7,
                                   .address = "tcp:127.0.0.1:4000",
                                   .listen_address = "tcp:127.0.0.1:11211",
                                   .state = "conn_read",
                                   .idle_sec = 2}};
  EXPECT_EQ(server.ask("stats conns\r\n"),
            "STAT 7:addr tcp:127.0.0.1:4000\r\nSTAT 7:listen_addr tcp:127.0.0.1:11211\r\n"
            "STAT 7:state conn_read\r\nSTAT 7:secs_since_last_cmd 2\r\nEND\r\n");
  server.host.fake_connections[0].tls_version = "TLSv1.3";
  server.host.fake_connections[0].tls_peer = "CN:two words";
  EXPECT_TRUE(server.ask("stats conns\r\n")
                  .ends_with("cmd 2\r\nSTAT 7:tls TLSv1.3\r\nSTAT 7:tls_peer CN:two_words\r\nEND\r\n"));
}

TEST(Stats, MemoryAddsUp) {
  MemcacheServer server(32 << 20);
  for (int i = 0; i < 1000; ++i) {
    server.ask("set " + std::to_string(i) + " 0 0 1000\r\n" + std::string(1000, 'x') + "\r\n");
  }
  server.advance(1);  // the storage publishes what it holds once per turn
  auto parts = stats(server, " memory");
  EXPECT_GE(std::stoull(parts["heap"]), 1'000'000u);
  EXPECT_GT(std::stoull(parts["index"]), 0u);
  EXPECT_GT(std::stoull(parts["resident"]), 0u);
  std::uint64_t sum = 0;
  for (const auto& [name, bytes] : parts) sum += name == "total" || name == "resident" ? 0 : std::stoull(bytes);
  EXPECT_EQ(sum, std::stoull(parts["total"]));
}

TEST(Stats, CachedumpShowsWhenItemsExpire) {
  MemcacheServer server;
  const std::int64_t unix_sec = server.clock.now().unix_sec;
  server.ask("set foo 0 100 3\r\nbar\r\n");
  EXPECT_EQ(server.ask("stats cachedump 1 10\r\n"),
            "ITEM foo [3 b; " + std::to_string(unix_sec + 100) + " s]\r\nEND\r\n");
  for (int i = 0; i < 20; ++i) server.ask("set k" + std::to_string(i) + " 0 0 1\r\nx\r\n");
  const std::string some = server.ask("stats cachedump 1 5\r\n");
  EXPECT_EQ(std::count(some.begin(), some.end(), '\n'), 6);
}

TEST(Stats, PrefixesAreBounded) {
  Prefixes prefixes;
  prefixes.enable(true);
  for (std::size_t i = 0; i < Prefixes::kPrefixesMax + 100; ++i) prefixes.count_set(std::to_string(i) + ":x");
  EXPECT_EQ(prefixes.size(), Prefixes::kPrefixesMax);
}

TEST(Backend, ShutdownWhereItIsAllowed) {
  MemcacheServer server;
  server.host.fake_settings.shutdown_enabled = true;
  EXPECT_EQ(server.ask("shutdown x\r\nshutdown graceful x\r\n"),
            "CLIENT_ERROR invalid shutdown mode\r\nCLIENT_ERROR invalid shutdown mode\r\n");
  Talker plain(server.backend), graceful(server.backend);
  EXPECT_EQ(plain.say("shutdown\r\n"), "");
  EXPECT_EQ(graceful.say("shutdown graceful\r\n"), "");
  EXPECT_TRUE(plain.closed() && graceful.closed());
  EXPECT_EQ(server.host.plain_shutdowns, 1);
  EXPECT_EQ(server.host.graceful_shutdowns, 1);
}

TEST(Backend, MemoryLimitIsTheHeap) {
  MemcacheServer server(16 << 20);
  EXPECT_EQ(server.ask("cache_memlimit 16\r\n"), "OK\r\n");
  EXPECT_EQ(server.ask("cache_memlimit 17\r\n"), "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust\r\n");
}

TEST(Backend, AbsoluteExpiry) {
  MemcacheServer server;
  const std::string in_ten = std::to_string(server.clock.now().unix_sec + 10);
  EXPECT_EQ(server.ask("set a 0 " + in_ten + " 1\r\nx\r\n"), "STORED\r\n");
  server.advance(9);
  EXPECT_EQ(server.ask("get a\r\n"), "VALUE a 0 1\r\nx\r\nEND\r\n");
  server.advance(1);
  EXPECT_EQ(server.ask("get a\r\n"), "END\r\n");
}

// A line of many keys with large values never makes more wait than the bound and one value.
TEST(Backend, OutputIsBoundedWhateverALineAsksFor) {
  MemcacheServer server;
  const std::size_t bytes = 1'000'000;
  server.ask("set k 0 0 " + std::to_string(bytes) + "\r\n" + std::string(bytes, 'v') + "\r\n");
  std::string line = "get";
  for (int i = 0; i < 20; ++i) line += " k";
  Talker client(server.backend);
  const std::string reply = client.say(line + "\r\n");
  EXPECT_GT(reply.size(), 20 * bytes);
  EXPECT_LT(client.output_bytes_max(), ServeLimits{}.output_bytes_max + bytes + 100);
}

TEST(Backend, RefusedDataIsNotKept) {
  MemcacheServer server;
  Talker client(server.backend);
  EXPECT_EQ(client.say("set a 0 0 1073741824\r\n"), "SERVER_ERROR object too large for cache\r\n");
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(client.say(std::string(100'000, 'x')), "");
    EXPECT_EQ(client.held_bytes(), 0U);
  }
}

TEST(Backend, ManyCommandsInOnePiece) {
  MemcacheServer server;
  std::string bytes = "set n 0 0 1\r\n0\r\n";
  for (int i = 0; i < 20'000; ++i) bytes += "incr n 1 noreply\r\n";
  EXPECT_EQ(server.ask(bytes + "get n\r\n"), "STORED\r\nVALUE n 0 5\r\n20000\r\nEND\r\n");
}

TEST(Backend, AFullHeapThatMayNotEvict) {
  MemcacheServer server(4 << 20, "none");
  const std::string value(500'000, 'v');
  const std::string set = " 0 0 500000\r\n" + value + "\r\n";
  int stored = 0;
  std::string reply;
  while (stored < 100 && (reply = server.ask("set k" + std::to_string(stored) + set)) == "STORED\r\n") ++stored;
  EXPECT_EQ(reply, "SERVER_ERROR out of memory storing object\r\n");
  EXPECT_GT(stored, 2);
  EXPECT_EQ(server.ask("append k1" + set), "SERVER_ERROR out of memory storing object\r\n");
  EXPECT_TRUE(server.ask("get k1\r\n").starts_with("VALUE"));
  EXPECT_EQ(server.ask("set k1" + set), "SERVER_ERROR out of memory storing object\r\n");
  EXPECT_EQ(server.ask("get k1\r\n"), "END\r\n");
  EXPECT_EQ(stats(server)["store_no_memory"], "3");
}

TEST(Backend, AppendBeyondTheLargestValue) {
  MemcacheServer server;
  const std::string value(700'000, 'v');
  EXPECT_EQ(server.ask("set a 0 0 700000\r\n" + value + "\r\nappend a 0 0 700000\r\n" + value + "\r\n"),
            "STORED\r\nNOT_STORED\r\n");
  EXPECT_EQ(server.ask("get a\r\n").size(), std::string("VALUE a 0 700000\r\n\r\nEND\r\n").size() + value.size());
}

TEST(DecimalValue, Forms) {
  struct Row {
    std::string_view text;
    std::optional<std::uint64_t> number;
  };
  const Row rows[] = {{"0", 0},
                      {"007", 7},
                      {" 12", 12},
                      {"\t12", 12},
                      {"+12", 12},
                      {"12 ", 12},
                      {"12 abc", 12},
                      {"12\n", 12},
                      {"", {}},
                      {" ", {}},
                      {"+", {}},
                      {"-5", {}},
                      {"1a", {}},
                      {"1.5", {}},
                      {"0x10", {}},
                      {"++5", {}},
                      {"18446744073709551615", 18446744073709551615U},
                      {"18446744073709551616", {}},
                      {"99999999999999999999", {}},
                      {std::string_view("12\0x", 4), 12}};
  for (const Row& row : rows) EXPECT_EQ(decimal_of_value(row.text), row.number) << row.text;
  EXPECT_EQ(decimal_of_value(std::string(256, '0')), 0U);
  EXPECT_EQ(decimal_of_value(std::string(257, '0')), std::nullopt);
}

// Random commands on a few keys, against a map that knows what memcached does with them.
class Model {
 public:
  std::string set(const std::string& key, const std::string& flags, const std::string& value) {
    items_[key] = {flags, value};
    return "STORED\r\n";
  }
  std::string get(const std::string& key) const {
    const auto found = items_.find(key);
    if (found == items_.end()) return "END\r\n";
    const auto& [flags, value] = found->second;
    return "VALUE " + key + " " + flags + " " + std::to_string(value.size()) + "\r\n" + value + "\r\nEND\r\n";
  }
  bool has(const std::string& key) const { return items_.contains(key); }
  std::string grow(const std::string& key, const std::string& front, const std::string& back) {
    const auto found = items_.find(key);
    if (found == items_.end()) return "NOT_STORED\r\n";
    found->second.second = front + found->second.second + back;
    return "STORED\r\n";
  }
  std::string erase(const std::string& key) { return items_.erase(key) ? "DELETED\r\n" : "NOT_FOUND\r\n"; }
  std::string change(const std::string& key, bool up, std::uint64_t delta) {
    const auto found = items_.find(key);
    if (found == items_.end()) return "NOT_FOUND\r\n";
    std::string& value = found->second.second;
    const auto number = decimal_of_value(value);
    if (!number) return "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n";
    const std::uint64_t result = up ? *number + delta : *number - std::min(*number, delta);
    const std::string text = std::to_string(result);
    value = text + std::string(value.size() > text.size() ? value.size() - text.size() : 0, ' ');
    return text + "\r\n";
  }
  void flush() { items_.clear(); }

 private:
  std::map<std::string, std::pair<std::string, std::string>> items_;
};

// One random command: what is sent, and by the model what must come back.
std::pair<std::string, std::string> random_command(std::mt19937_64& random, Model& model) {
  const std::string key = "key" + std::to_string(random() % 20);
  const std::string flags = random() % 2 ? "0" : std::to_string(static_cast<std::uint32_t>(random()));
  const std::string number = std::to_string(random() >> random() % 64);
  const std::string value = random() % 2 ? number : std::string(random() % 300, static_cast<char>('a' + random() % 26));
  const std::string data = " " + flags + " 0 " + std::to_string(value.size()) + "\r\n" + value + "\r\n";
  switch (random() % 10) {
    case 0:
    case 1: return {"set " + key + data, model.set(key, flags, value)};
    case 2: return {"add " + key + data, model.has(key) ? "NOT_STORED\r\n" : model.set(key, flags, value)};
    case 3: return {"replace " + key + data, model.has(key) ? model.set(key, flags, value) : "NOT_STORED\r\n"};
    case 4: return {"append " + key + data, model.grow(key, "", value)};
    case 5: return {"prepend " + key + data, model.grow(key, value, "")};
    case 6: return {"delete " + key + "\r\n", model.erase(key)};
    case 7: return {"incr " + key + " " + number + "\r\n", model.change(key, true, std::stoull(number))};
    case 8: return {"decr " + key + " " + number + "\r\n", model.change(key, false, std::stoull(number))};
    default:
      if (random() % 200 != 0) return {"get " + key + "\r\n", model.get(key)};
      model.flush();
      return {"flush_all\r\n", "OK\r\n"};
  }
}

TEST(Backend, RandomCommandsAgainstAModel) {
  const char* const given = std::getenv("PELIKAN_SEED");
  const std::uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  SCOPED_TRACE("PELIKAN_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  MemcacheServer server(32 << 20);
  Model model;
  for (int round = 0; round < 50'000; ++round) {
    const auto [send, expect] = random_command(random, model);
    ASSERT_EQ(server.ask(send), expect) << "sent " << send << " in round " << round;
  }
}

}  // namespace
}  // namespace pelikan::backend::memcache
