// Several backends of one server: what a client hears does not depend on the worker that it talks to.
#include <gtest/gtest.h>

#include <barrier>
#include <thread>
#include <vector>

#include "backend/memcache/backend.h"
#include "backend/memcache/decide.h"
#include "testing/fake_clock.h"
#include "testing/memcache/fake_host.h"
#include "testing/memcache/server.h"
#include "testing/memcache/talker.h"

namespace pelikan::backend::memcache {
namespace {

using storage::segcache::Item;
using storage::segcache::SegCache;
using storage::segcache::Verdict;
using testing::Talker;

std::string ask(MemcacheBackend& backend, std::string_view bytes) { return Talker(backend).say(bytes); }

// The value of a line of a stats reply.
std::string stat(MemcacheBackend& backend, const std::string& name, const std::string& sub = "") {
  const std::string reply = ask(backend, "stats" + sub + "\r\n");
  const std::string start = "STAT " + name + " ";
  const std::size_t at = reply.find(start);
  if (at == reply.npos) return "none";
  const std::size_t value = at + start.size();
  return reply.substr(value, reply.find('\r', value) - value);
}

class BackendsTest : public ::testing::Test {
 protected:
  void advance(std::uint32_t seconds) {
    clock_.advance(seconds);
    one_.turn(clock_.now());
    two_.turn(clock_.now());
  }

  testing::FakeClock clock_;
  testing::FakeHost host_;
  testing::MemcacheServer::Options options_{8 << 20, "merge"};
  SegCache cache_{options_, KeyHash(1), clock_.now()};
  ServerState state_;
  MemcacheBackend one_{cache_, state_, host_, clock_.now()};
  MemcacheBackend two_{cache_, state_, host_, clock_.now()};
};

TEST_F(BackendsTest, StatsAreThoseOfAll) {
  ask(one_, "set a 0 0 1\r\n1\r\nget a none\r\nincr a 1\r\n");
  ask(two_, "get a\r\nset b 0 0 1\r\n2\r\ndelete b\r\ntouch a 0\r\nset c 0 0 9999999\r\n");
  for (MemcacheBackend* asked : {&one_, &two_}) {
    EXPECT_EQ(stat(*asked, "cmd_get"), "3");
    EXPECT_EQ(stat(*asked, "get_hits"), "2");
    EXPECT_EQ(stat(*asked, "get_misses"), "1");
    EXPECT_EQ(stat(*asked, "cmd_set"), "2") << "what is refused does not count";
    EXPECT_EQ(stat(*asked, "incr_hits"), "1");
    EXPECT_EQ(stat(*asked, "delete_hits"), "1");
    EXPECT_EQ(stat(*asked, "cmd_touch"), "1");
    EXPECT_EQ(stat(*asked, "store_too_large"), "1");
    EXPECT_EQ(stat(*asked, "1:cmd_set", " slabs"), "2");
  }
}

TEST_F(BackendsTest, MetricsAreThoseOfAll) {
  const std::int64_t before = metrics::snapshot().value("get");
  ask(one_, "get a\r\n");
  ask(two_, "get a\r\nget a\r\n");
  EXPECT_EQ(metrics::snapshot().value("get"), before + 3);
}

TEST_F(BackendsTest, ResetAtOneResetsAll) {
  ask(one_, "get a\r\n");
  ask(two_, "get a\r\nset a 0 0 1\r\n1\r\n");
  EXPECT_EQ(ask(two_, "stats reset\r\n"), "RESET\r\n");
  for (MemcacheBackend* asked : {&one_, &two_}) {
    EXPECT_EQ(stat(*asked, "cmd_get"), "0");
    EXPECT_EQ(stat(*asked, "cmd_set"), "0");
    EXPECT_EQ(stat(*asked, "total_items"), "0");
    EXPECT_EQ(stat(*asked, "curr_items"), "1");
  }
  ask(one_, "get a\r\n");
  EXPECT_EQ(stat(two_, "cmd_get"), "1");
}

TEST_F(BackendsTest, ADelayedFlushIsForAllAndHappensOnce) {
  ask(two_, "set a 0 0 1\r\n1\r\n");
  EXPECT_EQ(ask(one_, "flush_all 10\r\n"), "OK\r\n");
  advance(8);
  EXPECT_EQ(ask(two_, "get a\r\n"), "VALUE a 0 1\r\n1\r\nEND\r\n");
  clock_.advance(1);
  two_.turn(clock_.now());  // whoever comes first
  EXPECT_EQ(ask(two_, "get a\r\nset b 0 0 1\r\n2\r\n"), "END\r\nSTORED\r\n");
  one_.turn(clock_.now());
  EXPECT_EQ(ask(one_, "get a b\r\n"), "VALUE b 0 1\r\n2\r\nEND\r\n");
  advance(100);
  EXPECT_EQ(ask(one_, "get b\r\n"), "VALUE b 0 1\r\n2\r\nEND\r\n");
}

TEST_F(BackendsTest, AFlushAtOneForgetsWhatTheOtherWaitsFor) {
  for (const char* flush : {"flush_all\r\n", "flush_all 1000\r\n"}) {
    EXPECT_EQ(ask(one_, "flush_all 10\r\n"), "OK\r\n");
    EXPECT_EQ(ask(two_, flush), "OK\r\n");
    ask(one_, "set a 0 0 1\r\n1\r\n");
    advance(20);
    EXPECT_EQ(ask(one_, "get a\r\n"), "VALUE a 0 1\r\n1\r\nEND\r\n") << flush;
  }
}

TEST_F(BackendsTest, DetailSwitchedOnAtOneCountsBoth) {
  EXPECT_EQ(ask(one_, "stats detail on\r\n"), "OK\r\n");
  ask(one_, "set p:a 0 0 1\r\n1\r\nget p:a\r\n");
  ask(two_, "get p:a\r\nget p:none\r\ndelete p:a\r\n");
  EXPECT_EQ(ask(two_, "stats detail dump\r\n"), "PREFIX p get 3 hit 2 set 1 del 1\r\nEND\r\n");
  EXPECT_EQ(stat(two_, "detail_enabled", " settings"), "yes");
  EXPECT_EQ(ask(two_, "stats detail off\r\n"), "OK\r\n");
  ask(one_, "get p:a\r\n");
  EXPECT_EQ(ask(one_, "stats detail dump\r\n"), "PREFIX p get 3 hit 2 set 1 del 1\r\nEND\r\n");
  ask(two_, "stats reset\r\n");
  EXPECT_EQ(ask(one_, "stats detail dump\r\n"), "END\r\n");
}

TEST_F(BackendsTest, VerbosityIsTheServers) {
  EXPECT_EQ(ask(one_, "verbosity 2\r\n"), "OK\r\n");
  EXPECT_EQ(stat(two_, "verbosity", " settings"), "2");
}

// --- decisions that the storage asks for again ----------------------------------------------------------------------

TEST(Decisions, OfNumbersStandAlone) {
  NumberDecision decision(true, 5);
  const Item seven{.key = "k", .value = "7"};
  const Item text{.key = "k", .value = "text"};
  EXPECT_EQ(decision(&seven).front, "12");
  EXPECT_EQ(decision.number(), 12U);
  EXPECT_EQ(decision(&seven).front, "12") << "not 17";
  EXPECT_EQ(decision(&text).kind, Verdict::Kind::kKeep);
  EXPECT_TRUE(decision.found());
  EXPECT_EQ(decision.number(), std::nullopt);
  EXPECT_EQ(decision(nullptr).kind, Verdict::Kind::kKeep);
  EXPECT_FALSE(decision.found());
  EXPECT_EQ(decision.number(), std::nullopt);
  EXPECT_EQ(decision(&seven).front, "12");
  EXPECT_TRUE(decision.found());
}

TEST(Decisions, OfStoresStandAlone) {
  using protocol::memcache::Command;
  protocol::memcache::Request request;
  const Item there{.key = "k", .value = "old", .flags = 3, .expire_at = 9, .cas = 7};
  request.value = "new";
  request.command = Command::kAdd;
  StoreDecision add(request, 0);
  EXPECT_EQ(add(&there).kind, Verdict::Kind::kKeep);
  EXPECT_EQ(add.outcome(), protocol::memcache::kNotStored);
  EXPECT_EQ(add(nullptr).kind, Verdict::Kind::kStore);
  EXPECT_EQ(add.outcome(), protocol::memcache::kStored);
  request.command = Command::kCas;
  request.number = 8;
  StoreDecision cas(request, 0);
  EXPECT_EQ(cas(nullptr).kind, Verdict::Kind::kKeep);
  EXPECT_EQ(cas.outcome(), protocol::memcache::kNotFound);
  EXPECT_EQ(cas(&there).kind, Verdict::Kind::kKeep);
  EXPECT_EQ(cas.outcome(), protocol::memcache::kExists);
  request.command = Command::kAppend;
  StoreDecision append(request, 0);
  EXPECT_EQ(append(&there).expire_at, 9U);
  EXPECT_EQ(append.bytes(), 6U);
  EXPECT_EQ(append(nullptr).kind, Verdict::Kind::kKeep);
  EXPECT_EQ(append.bytes(), 0U);
}

// --- threads: what they share is the state; the storage of each is its own, as it need not be thread-safe here -------

struct OneOfMany {
  OneOfMany(ServerState& state, testing::FakeHost& host, const Time& start)
      : cache(options, KeyHash(1), start), backend(cache, state, host, start) {}
  testing::MemcacheServer::Options options{8 << 20, "merge"};
  SegCache cache;
  MemcacheBackend backend;
};

class ManyBackendsTest : public ::testing::Test {
 protected:
  static constexpr int kThreads = 4;

  ManyBackendsTest() {
    for (int i = 0; i < kThreads; ++i) many_.push_back(std::make_unique<OneOfMany>(state_, host_, clock_.now()));
  }
  // `work(backend)` on a thread for each.
  template <class Work>
  void on_each(Work&& work) {
    std::vector<std::jthread> threads;
    for (const auto& one : many_) threads.emplace_back([&work, &one = *one] { work(one.backend); });
  }

  testing::FakeClock clock_;
  testing::FakeHost host_;
  ServerState state_;
  std::vector<std::unique_ptr<OneOfMany>> many_;
};

TEST_F(ManyBackendsTest, NoCountIsLost) {
  constexpr int kRounds = 300;
  on_each([](MemcacheBackend& backend) {
    Talker client(backend);
    client.say("stats detail on\r\n");
    for (int round = 0; round < kRounds; ++round) {
      client.say("set p:a 0 0 1\r\n1\r\nget p:a\r\n");
      if (round % 10 == 0) client.say("stats\r\nstats detail dump\r\nstats settings\r\nversion\r\nverbosity 1\r\n");
    }
  });
  const std::string count = std::to_string(kThreads * kRounds);
  for (const auto& one : many_) {
    EXPECT_EQ(stat(one->backend, "cmd_get"), count);
    EXPECT_EQ(stat(one->backend, "get_hits"), count);
    EXPECT_EQ(stat(one->backend, "cmd_set"), count);
    std::string dump = "PREFIX p get N hit N set N del 0\r\nEND\r\n";
    for (std::size_t at = 0; (at = dump.find('N', at)) != dump.npos && dump[at + 1] == ' ';) dump.replace(at, 1, count);
    EXPECT_EQ(ask(one->backend, "stats detail dump\r\n"), dump);
  }
}

// Whoever is asked while others reset: numbers are small, never below zero.
TEST_F(ManyBackendsTest, ResetsNeverMakeNumbersNegative) {
  std::atomic<int> wrong{0};
  on_each([&wrong](MemcacheBackend& backend) {
    for (int round = 0; round < 200; ++round) {
      ask(backend, "set a 0 0 1\r\n1\r\nget a\r\ntouch a 0\r\nset a 0 0 9999999\r\n");
      for (const char* name : {"cmd_get", "cmd_set", "cmd_touch", "get_hits"}) {
        if (stat(backend, name).size() > 6) ++wrong;
      }
      ask(backend, "stats reset\r\n");
    }
  });
  EXPECT_EQ(wrong, 0);
}

// Threads reach the second of the flush together; each sees it done, by one of them.
TEST(ServerState, ADueFlushIsDoneOnceBeforeAnybodyGoesOn) {
  constexpr int kThreads = 4;
  constexpr std::uint32_t kRounds = 2000;
  ServerState state;
  std::uint32_t flushed = 0;  // written by flush() alone: ThreadSanitizer sees who reads it too early
  std::atomic<int> wrong{0};
  std::barrier together(kThreads);
  std::vector<std::jthread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      for (std::uint32_t round = 1; round <= kRounds; ++round) {
        if (i == 0) state.flush_later(round);
        together.arrive_and_wait();
        state.flush_if_due(round - 1, [&] { ++wrong; });
        state.flush_if_due(round, [&] { ++flushed; });
        if (flushed != round) ++wrong;
        together.arrive_and_wait();
      }
    });
  }
  threads.clear();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(flushed, kRounds);
}

}  // namespace
}  // namespace pelikan::backend::memcache
