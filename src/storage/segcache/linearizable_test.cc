// The judge of histories is judged: histories written by hand, of one key, each of which must be legal or refused on a
// cache that never evicts, and on one that does. Then long random ones, legal by construction, and the limit.
#include "storage/segcache/linearizable.h"

#include <gtest/gtest.h>

#include <random>

namespace pelikan::storage::segcache {
namespace {

using Kind = Operation::Kind;
using Outcome = Operation::Outcome;

constexpr std::uint32_t kStartSec = 100;

// From one stamp to another, on a thread.
struct When {
  unsigned thread = 0;
  std::uint64_t invoked = 0;
  std::uint64_t responded = 0;
};

struct History {
  History& turn(When when, std::uint32_t now_sec) {
    if (clocks.size() <= when.thread) clocks.resize(when.thread + 1, kStartSec);
    clocks[when.thread] = now_sec;
    return add(when, {.kind = Kind::kTurn});
  }
  // A hit.
  History& get(When when, const char* value, std::uint64_t cas, std::uint32_t expire_at = 0) {
    return add(when, {.kind = Kind::kGet, .expire_at = expire_at, .cas = cas, .value = value});
  }
  History& set(When when, const char* value, std::uint64_t cas, std::uint32_t expire_at = 0) {
    return add(when, {.kind = Kind::kSet, .expire_at = expire_at, .cas = cas, .value = value});
  }
  History& store(Kind kind, When when, const char* value, std::uint64_t cas, Outcome outcome = Outcome::kDone) {
    return add(when, {.kind = kind, .outcome = outcome, .cas = cas, .value = value});
  }
  History& swap(When when, std::uint64_t token, const char* value, std::uint64_t cas,
                Outcome outcome = Outcome::kDone) {
    return add(when, {.kind = Kind::kCas, .outcome = outcome, .token = token, .cas = cas, .value = value});
  }
  History& touch(When when, std::uint32_t expire_at) {
    return add(when, {.kind = Kind::kTouch, .expire_at = expire_at});
  }
  History& missing(Kind kind, When when) { return add(when, {.kind = kind, .outcome = Outcome::kMissing}); }
  History& done(Kind kind, When when) { return add(when, {.kind = kind}); }

  History& add(When when, Operation operation) {
    operation.thread = when.thread;
    operation.now_sec = when.thread < clocks.size() ? clocks[when.thread] : kStartSec;
    operation.invoked = when.invoked;
    operation.responded = operation.kind == Kind::kTurn ? when.invoked : when.responded;
    operations.push_back(std::move(operation));
    return *this;
  }

  std::vector<Operation> operations;
  std::vector<std::uint32_t> clocks;
};

enum class Judgement : std::uint8_t { kLegal, kOnlyIfEvicting, kNever };

struct Case {
  const char* name;
  Judgement judgement;
  History history;
};

using enum Judgement;

const Case kCases[] = {
    {"one after the other", kLegal,
     History()
         .missing(Kind::kGet, {0, 1, 2})
         .set({0, 3, 4}, "a", 1)
         .get({0, 5, 6}, "a", 1)
         .store(Kind::kAdd, {0, 7, 8}, "x", 1, Outcome::kRefused)
         .store(Kind::kReplace, {0, 9, 10}, "5", 2)
         .store(Kind::kIncr, {0, 11, 12}, "6", 3)
         .store(Kind::kAppend, {0, 13, 14}, "x", 4)
         .store(Kind::kIncr, {0, 15, 16}, "", 4, Outcome::kRefused)
         .get({0, 17, 18}, "6x", 4)
         .swap({0, 19, 20}, 3, "b", 4, Outcome::kRefused)
         .swap({0, 21, 22}, 4, "b", 5)
         .done(Kind::kErase, {0, 23, 24})
         .missing(Kind::kErase, {0, 25, 26})
         .missing(Kind::kIncr, {0, 27, 28})
         .missing(Kind::kAppend, {0, 29, 30})
         .missing(Kind::kReplace, {0, 31, 32})
         .missing(Kind::kCas, {0, 33, 34})
         .missing(Kind::kTouch, {0, 35, 36})
         .store(Kind::kAdd, {0, 37, 38}, "c", 6)
         .done(Kind::kFlush, {0, 39, 40})
         .missing(Kind::kGet, {0, 41, 42})},
    {"a get during a set may see either", kLegal,
     History()
         .set({0, 1, 2}, "a", 1)
         .set({0, 3, 12}, "b", 2)
         .get({1, 4, 5}, "a", 1)
         .get({2, 6, 11}, "a", 1)
         .get({1, 7, 8}, "b", 2)},
    {"new, then old again", kNever,
     History().set({0, 1, 2}, "a", 1).set({0, 3, 12}, "b", 2).get({1, 4, 5}, "b", 2).get({2, 6, 11}, "a", 1)},
    {"stale read after a completed set", kNever,
     History().set({0, 1, 2}, "a", 1).set({1, 3, 4}, "b", 2).get({0, 5, 6}, "a", 1)},
    {"a value never written", kNever, History().set({0, 1, 2}, "a", 1).get({1, 3, 4}, "z", 2)},
    {"a value read before it is written", kNever, History().get({1, 1, 2}, "a", 1).set({0, 3, 4}, "a", 1)},
    {"a part of a value", kNever, History().set({0, 1, 2}, "abc", 1).get({1, 3, 4}, "ab", 1)},
    {"two incr in either order", kLegal,
     History()
         .set({0, 1, 2}, "0", 1)
         .store(Kind::kIncr, {0, 3, 6}, "2", 3)
         .store(Kind::kIncr, {1, 4, 5}, "1", 2)
         .get({0, 7, 8}, "2", 3)},
    {"lost update: two incr return 1", kNever,
     History().set({0, 1, 2}, "0", 1).store(Kind::kIncr, {0, 3, 6}, "1", 2).store(Kind::kIncr, {1, 4, 5}, "1", 3)},
    {"lost update: one append is missing", kNever,
     History()
         .set({0, 1, 2}, "a", 1)
         .store(Kind::kAppend, {0, 3, 6}, "x", 2)
         .store(Kind::kAppend, {1, 4, 5}, "y", 3)
         .get({0, 7, 8}, "ax", 2)},
    {"both add", kOnlyIfEvicting, History().store(Kind::kAdd, {0, 1, 4}, "a", 1).store(Kind::kAdd, {1, 2, 3}, "b", 2)},
    {"replace of nothing", kNever, History().store(Kind::kReplace, {0, 1, 2}, "a", 1)},
    {"resurrected after delete", kNever,
     History().set({0, 1, 2}, "a", 1).done(Kind::kErase, {1, 3, 4}).get({0, 5, 6}, "a", 1)},
    {"both delete", kNever,
     History().set({0, 1, 2}, "a", 1).done(Kind::kErase, {0, 3, 6}).done(Kind::kErase, {1, 4, 5})},
    {"get during a flush, then none", kLegal,
     History()
         .set({0, 1, 2}, "a", 1)
         .done(Kind::kFlush, {0, 3, 8})
         .get({1, 4, 5}, "a", 1)
         .missing(Kind::kGet, {1, 6, 7})},
    {"get of an item from before a completed flush", kNever,
     History().set({0, 1, 2}, "a", 1).done(Kind::kFlush, {1, 3, 4}).get({0, 5, 6}, "a", 1)},
    {"append carries an item over a flush", kNever,
     History()
         .set({0, 1, 2}, "a", 1)
         .done(Kind::kFlush, {1, 4, 5})
         .store(Kind::kAppend, {0, 3, 6}, "x", 2)
         .get({1, 7, 8}, "ax", 2)},
    {"one of two cas wins", kLegal,
     History()
         .set({0, 1, 2}, "a", 1)
         .swap({0, 3, 6}, 1, "b", 2)
         .swap({1, 4, 5}, 1, "c", 2, Outcome::kRefused)
         .get({1, 7, 8}, "b", 2)},
    {"cas succeeds twice on one token", kNever,
     History().set({0, 1, 2}, "a", 1).swap({0, 3, 6}, 1, "b", 2).swap({1, 4, 5}, 1, "c", 3)},
    {"cas over somebody's set", kNever,
     History().set({0, 1, 2}, "a", 1).set({1, 3, 4}, "b", 2).swap({0, 5, 6}, 1, "c", 3)},
    {"EXISTS without a reason", kOnlyIfEvicting,
     History().set({0, 1, 2}, "a", 1).swap({0, 3, 4}, 1, "b", 0, Outcome::kRefused)},
    {"EXISTS, and the token is the same", kNever,
     History().set({0, 1, 2}, "a", 1).swap({0, 3, 4}, 1, "b", 1, Outcome::kRefused)},
    {"a new token without a reason", kOnlyIfEvicting, History().set({0, 1, 2}, "a", 1).get({0, 3, 4}, "a", 2)},
    {"a new token, and cas with the old one", kNever,
     History().set({0, 1, 2}, "a", 1).get({0, 3, 4}, "a", 2).swap({1, 5, 6}, 1, "b", 3)},
    {"one token for two values", kNever, History().set({0, 1, 2}, "a", 1).set({0, 3, 4}, "b", 1)},
    {"stored, but without a token", kNever, History().set({0, 1, 2}, "a", 0)},
    {"touch may change the token", kLegal,
     History().set({0, 1, 2}, "a", 1).touch({0, 3, 4}, 110).get({0, 5, 6}, "a", 2, 110).get({0, 7, 8}, "a", 2, 110)},
    {"touch may keep the token", kLegal,
     History().set({0, 1, 2}, "a", 1).touch({0, 3, 4}, 110).get({0, 5, 6}, "a", 1, 110).swap({1, 7, 8}, 1, "b", 2)},
    {"touch changes the token twice", kOnlyIfEvicting,
     History().set({0, 1, 2}, "a", 1).touch({0, 3, 4}, 110).get({0, 5, 6}, "a", 2, 110).get({0, 7, 8}, "a", 3, 110)},
    {"touch is lost", kNever, History().set({0, 1, 2}, "a", 1, 110).touch({0, 3, 4}, 120).get({1, 5, 6}, "a", 1, 110)},
    {"touch into the past deletes", kNever,
     History().set({0, 1, 2}, "a", 1).touch({0, 3, 4}, kStartSec).get({1, 5, 6}, "a", 1)},
    {"stored with a deadline that has passed", kLegal,
     History().set({0, 1, 2}, "a", 0, kStartSec).missing(Kind::kGet, {1, 3, 4})},
    {"gone too early", kOnlyIfEvicting,
     History().set({0, 1, 2}, "a", 1, 110).turn({1, 3}, 109).missing(Kind::kGet, {1, 4, 5})},
    {"gone too early, of an item that never expires", kOnlyIfEvicting,
     History().set({0, 1, 2}, "a", 1).missing(Kind::kGet, {1, 4, 5})},
    {"gone, and there again", kNever,
     History().set({0, 1, 2}, "a", 1).missing(Kind::kGet, {1, 3, 4}).get({1, 5, 6}, "a", 1)},
    {"gone before a clock gets there", kOnlyIfEvicting,
     History().set({0, 1, 2}, "a", 1, 110).missing(Kind::kGet, {1, 3, 4}).turn({0, 5}, 110)},
    {"gone while a clock gets there", kLegal,
     History().set({0, 1, 2}, "a", 1, 110).turn({0, 4}, 110).missing(Kind::kGet, {1, 3, 5})},
    {"gone for one clock, there for the other, then gone for both", kLegal,
     History()
         .set({0, 1, 2}, "a", 1, 110)
         .turn({0, 3}, 110)
         .missing(Kind::kGet, {0, 4, 5})
         .get({1, 6, 7}, "a", 1, 110)
         .missing(Kind::kAppend, {0, 8, 9})
         .missing(Kind::kGet, {1, 10, 11})},
    {"alive past its deadline for a clock beyond it", kNever,
     History().set({0, 1, 2}, "a", 1, 110).turn({1, 3}, 111).get({1, 4, 5}, "a", 1, 110)},
    {"alive at its deadline", kNever,
     History().set({0, 1, 2}, "a", 1, 110).turn({1, 3}, 110).get({1, 4, 5}, "a", 1, 110)},
    {"gone for one slow clock, there for another", kLegal,
     History()
         .set({0, 1, 2}, "a", 1, 110)
         .turn({0, 3}, 110)
         .missing(Kind::kGet, {1, 4, 5})
         .get({2, 6, 7}, "a", 1, 110)
         .touch({2, 8, 9}, 120)
         .get({1, 10, 11}, "a", 1, 120)},
    {"gone for a clock that gets there, and deleted by the other", kLegal,
     History()
         .set({0, 1, 2}, "a", 1, 110)
         .turn({0, 3}, 110)
         .missing(Kind::kErase, {0, 4, 5})
         .done(Kind::kErase, {1, 6, 7})},
    {"expired, gone for the slow clock too, and there again", kNever,
     History()
         .set({0, 1, 2}, "a", 1, 110)
         .turn({0, 3}, 110)
         .missing(Kind::kGet, {1, 4, 5})
         .get({1, 6, 7}, "a", 1, 110)},
    {"replaced by the fast clock, and the old one is seen by the slow", kNever,
     History()
         .set({0, 1, 2}, "a", 1, 110)
         .turn({0, 3}, 110)
         .store(Kind::kAdd, {0, 4, 5}, "b", 2)
         .get({1, 6, 7}, "a", 1, 110)},
    {"incr of an expired item", kNever,
     History().set({0, 1, 2}, "1", 1, 110).turn({0, 3}, 110).store(Kind::kIncr, {0, 4, 5}, "2", 2)},
    {"incr keeps the deadline", kNever,
     History().set({0, 1, 2}, "1", 1, 110).store(Kind::kIncr, {0, 4, 5}, "2", 2).get({0, 6, 7}, "2", 2)},
    {"the heap is full", kOnlyIfEvicting,
     History().set({0, 1, 2}, "a", 1).store(Kind::kSet, {0, 3, 4}, "b", 0, Outcome::kNoSpace).get({0, 5, 6}, "a", 1)},
    {"the heap is full, but it is stored", kNever,
     History().set({0, 1, 2}, "a", 1).store(Kind::kSet, {0, 3, 4}, "b", 0, Outcome::kNoSpace).get({0, 5, 6}, "b", 2)},
};

TEST(Linearizable, JudgesHistoriesWrittenByHand) {
  for (const Case& example : kCases) {
    const std::string alone = violation_of(example.history.operations, {.evicts = false});
    const std::string evicting = violation_of(example.history.operations, {.evicts = true});
    EXPECT_EQ(alone.empty(), example.judgement == kLegal) << example.name << ": " << alone;
    EXPECT_EQ(evicting.empty(), example.judgement != kNever) << example.name << ": " << evicting;
  }
}

TEST(Linearizable, KeysAreJudgedApartAndFlushIsInAll) {
  History history;
  history.set({0, 1, 2}, "a", 1).set({0, 3, 4}, "b", 2).get({1, 5, 6}, "a", 1);
  history.operations[1].key = 7;
  EXPECT_EQ(violation_of(history.operations, {}), "");
  history.done(Kind::kFlush, {1, 7, 8}).get({1, 9, 10}, "b", 2);
  history.operations.back().key = 7;
  EXPECT_NE(violation_of(history.operations, {}).find("key 7: no order explains"), std::string::npos);
}

TEST(Linearizable, OneTokenOfTwoKeysIsRefused) {
  History history;
  history.set({0, 1, 2}, "a", 1).set({0, 3, 4}, "a", 1);
  history.operations[1].key = 7;
  EXPECT_NE(violation_of(history.operations, {}).find("one token"), std::string::npos);
}

// Every operation is done at a moment of its own, and stamped some way before and behind it.
std::vector<Operation> overlapping(std::mt19937_64& random, unsigned threads, unsigned count) {
  std::vector<Operation> operations;
  std::vector<std::uint64_t> free_from(threads, 0);
  std::string value;
  std::uint64_t token = 0;
  for (std::uint64_t moment = 1'000; operations.size() < count; moment += 100) {
    const auto thread = static_cast<unsigned>(random() % threads);
    if (free_from[thread] >= moment) continue;
    // The last digits are the thread, so no two stamps are the same.
    const std::uint64_t invoked =
        std::max(free_from[thread], moment - std::min<std::uint64_t>(random() % 500, moment)) / 10 * 10 + 10 + thread;
    const std::uint64_t responded = moment / 10 * 10 + random() % 40 * 10 + 50 + thread;
    if (invoked >= moment) continue;
    free_from[thread] = responded;
    Operation operation{.thread = thread, .now_sec = kStartSec};
    if (value.empty() || random() % 4 == 0) {
      operation.kind = Kind::kSet;
      value = operation.value = std::to_string(moment);
    } else if (random() % 3 == 0) {
      operation.kind = Kind::kIncr;
      value = operation.value = *incremented(value);
    } else {
      operation.kind = Kind::kGet;
      operation.value = value;
    }
    if (operation.kind != Kind::kGet) ++token;
    operation.cas = token;
    operation.invoked = invoked;
    operation.responded = responded;
    operations.push_back(std::move(operation));
  }
  return operations;
}

TEST(Linearizable, LongHistoriesAreJudged) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (unsigned round = 0; round < 20; ++round) {
    std::vector<Operation> operations = overlapping(random, 4, 1'000);
    EXPECT_EQ(violation_of(operations, {}), "");
    EXPECT_EQ(violation_of(operations, {.evicts = true}), "");
    // What was read long before is stale.
    const auto is_get = [](const Operation& operation) { return operation.kind == Kind::kGet; };
    const auto early = std::find_if(operations.begin(), operations.end(), is_get);
    const auto late = std::find_if(operations.rbegin(), operations.rend(), is_get);
    late->value = early->value;
    late->cas = early->cas;
    EXPECT_NE(violation_of(operations, {.evicts = true}), "");
  }
}

TEST(Linearizable, TooManySituationsIsAViolation) {
  History history;
  history.set({0, 1, 2}, "", 1);
  for (unsigned thread = 0; thread < 12; ++thread) {
    const std::string end(1, static_cast<char>('a' + thread));
    history.store(Kind::kAppend, {thread, 10 + thread, 40 + thread}, end.c_str(), 2 + thread);
  }
  EXPECT_NE(violation_of(history.operations, {}).find("too many"), std::string::npos);
}

}  // namespace
}  // namespace pelikan::storage::segcache
