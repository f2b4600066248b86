// Random operations of several threads on a few keys of a shared cache; what they saw must be linearizable
// (linearizable.h). In batches, so that what is inside can be checked while nobody is there.
//
// On a heap that never evicts nothing may be missing and no token may change; beside the keys that are judged, others
// are added, so that the index grows from one bucket. On a tiny heap those others fill it over and over, so that
// segments are reused all the time.
//
// PELIKAN_HISTORY_SEEDS says how many seeds each set-up is run with, PELIKAN_HISTORY_SEED which is the first. A seed
// gives the same operations again; which thread does its own first is not repeated.
#include <gtest/gtest.h>

#include <cstdio>
#include <random>
#include <thread>

#include "storage/segcache/linearizable.h"
#include "storage/segcache/shared_kit.h"

namespace pelikan::storage::segcache {
namespace {

using Kind = Operation::Kind;
using Outcome = Operation::Outcome;
using Random = std::mt19937_64;

constexpr unsigned kBatches = 5;
constexpr unsigned kStepsPerBatch = 60;
constexpr std::uint32_t kKeysMax = 16;

// Of each key the token last seen, by whichever thread.
using Tokens = std::array<std::atomic<std::uint64_t>, kKeysMax>;

// What the threads of one history share.
struct Stage {
  bool evicts = false;
  std::uint32_t keys = 0;
  TestClock clock = {};
  Stamps stamps = {};
  Tokens tokens = {};
};

class Actor {
 public:
  Actor(Stage& stage, SegCache& cache, unsigned thread, std::uint64_t seed)
      : stage_(stage), cache_(cache), thread_(thread), log_(stage.stamps, thread), random_(seed) {}

  [[nodiscard]] const std::vector<Operation>& operations() const noexcept { return log_.operations(); }
  [[nodiscard]] std::uint64_t no_space() const noexcept { return no_space_; }

  void batch() {
    turn();
    for (unsigned step = 0; step < kStepsPerBatch; ++step) {
      if (one_in(2)) fill();
      act();
      if (one_in(12)) turn();
      if (one_in(50)) {
        rest();
        std::this_thread::yield();
        turn();
      }
    }
    rest();
  }

  void get_all() {
    turn();
    for (std::uint32_t key = 0; key < stage_.keys; ++key) get(key);
    rest();
  }

 private:
  [[nodiscard]] std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }
  [[nodiscard]] bool one_in(std::uint32_t n) { return below(n) == 0; }
  // Lets the others in between, now and then.
  void perhaps_yield() {
    if (one_in(8)) std::this_thread::yield();
  }

  void turn() {
    if (one_in(2)) stage_.clock.advance();
    now_sec_ = stage_.clock.read(thread_);
    log_.turn(now_sec_);
    cache_.turn(time_at(now_sec_));
  }

  void rest() {
    cache_.rest();
    stage_.clock.rest(thread_);
  }

  // Keys that nobody judges.
  void fill() {
    const unsigned items = stage_.evicts ? 4 : 1;
    const std::string value(stage_.evicts ? below(1'000) : below(40), 'f');
    for (unsigned n = 0; n < items; ++n) {
      const std::uint32_t expire_at = expiry();
      const WriteResult result = cache_.write(fmt::format("fill{}.{}", thread_, ++fillers_),
                                              [&](const Item*) { return Verdict::store(value, 0, expire_at); });
      if (result.status == WriteResult::Status::kNoSpace && stage_.evicts) {
        ++no_space_;
      } else {
        EXPECT_EQ(result.status, WriteResult::Status::kStored);
      }
    }
  }

  void act() {
    const std::uint32_t key = below(stage_.keys);
    const std::uint32_t dice = below(1'000);
    if (dice < 300) return get(key);
    if (dice < 420) return write(key, Kind::kSet);
    if (dice < 490) return write(key, Kind::kAdd);
    if (dice < 540) return write(key, Kind::kReplace);
    if (dice < 680) return write(key, Kind::kCas);
    if (dice < 780) return write(key, Kind::kIncr);
    if (dice < 860) return write(key, Kind::kAppend);
    if (dice < 930) return touch(key);
    if (dice < 992) return erase(key);
    flush();
  }

  // A second to come, or never, or now and then one that has passed.
  [[nodiscard]] std::uint32_t expiry() {
    if (one_in(2)) return 0;
    return one_in(20) ? now_sec_ - below(2) : now_sec_ + 1 + (one_in(4) ? below(40) : below(3));
  }

  // One that nobody else writes. Some are numbers.
  [[nodiscard]] std::string fresh_value() {
    ++values_;
    if (one_in(2)) return fmt::format("{}", (values_ * TestClock::kThreadsMax + thread_) * 10'000);
    return fmt::format("{}.{}{}", thread_, values_, std::string(one_in(4) ? below(300) : below(20), '.'));
  }

  void get(std::uint32_t key) {
    Operation operation = log_.begin({.kind = Kind::kGet, .key = key});
    perhaps_yield();
    const std::optional<Item> item = one_in(4) ? cache_.peek(name_of(key)) : cache_.get(name_of(key));
    perhaps_yield();
    if (item) {
      EXPECT_EQ(item->key, name_of(key));
      operation.value = item->value;
      operation.expire_at = item->expire_at;
      operation.cas = item->cas;
    } else {
      operation.outcome = Outcome::kMissing;
    }
    log_.end(std::move(operation));
    if (item) stage_.tokens[key].store(item->cas);
  }

  void write(std::uint32_t key, Kind kind) {
    Operation asked{.kind = kind, .key = key};
    if (kind == Kind::kCas) asked.token = stage_.tokens[key].load();
    if (kind == Kind::kAppend) {
      asked.value = fmt::format("{}", static_cast<char>('a' + below(26)));
    } else if (kind != Kind::kIncr) {
      asked.value = fresh_value();
      asked.expire_at = expiry();
    }
    Operation operation = log_.begin(std::move(asked));
    perhaps_yield();
    std::string number;
    const WriteResult result = cache_.write(name_of(key), [&](const Item* current) {
      perhaps_yield();
      return decide(operation, current, number);
    });
    perhaps_yield();
    operation.cas = result.cas;
    if (kind == Kind::kIncr) operation.value = number;
    switch (result.status) {
      case WriteResult::Status::kStored: EXPECT_EQ(operation.outcome, Outcome::kDone); break;
      case WriteResult::Status::kKept: EXPECT_NE(operation.outcome, Outcome::kDone); break;
      case WriteResult::Status::kNoSpace:
        operation.outcome = Outcome::kNoSpace;
        ++no_space_;
        break;
      default: ADD_FAILURE() << "status " << std::to_underlying(result.status);
    }
    log_.end(std::move(operation));
  }

  // As the backend does it. May be called again, so it sets anew what it sets.
  static Verdict decide(Operation& operation, const Item* current, std::string& number) {
    const auto keep = [&](Outcome outcome) {
      operation.outcome = outcome;
      return Verdict::keep();
    };
    operation.outcome = Outcome::kDone;
    number.clear();
    if (current == nullptr && operation.kind != Kind::kSet && operation.kind != Kind::kAdd) {
      return keep(Outcome::kMissing);
    }
    switch (operation.kind) {
      case Kind::kAdd:
        if (current != nullptr) return keep(Outcome::kRefused);
        break;
      case Kind::kCas:
        if (current->cas != operation.token) return keep(Outcome::kRefused);
        break;
      case Kind::kAppend:
        return {Verdict::Kind::kStore, current->value, operation.value, current->flags, current->expire_at};
      case Kind::kIncr:
        if (const std::optional<std::string> sum = incremented(current->value)) {
          number = *sum;
          return Verdict::store(number, current->flags, current->expire_at);
        }
        return keep(Outcome::kRefused);
      default: break;
    }
    return Verdict::store(operation.value, 0, operation.expire_at);
  }

  void touch(std::uint32_t key) {
    Operation operation = log_.begin({.kind = Kind::kTouch, .key = key, .expire_at = expiry()});
    perhaps_yield();
    if (!cache_.touch(name_of(key), operation.expire_at)) operation.outcome = Outcome::kMissing;
    perhaps_yield();
    log_.end(std::move(operation));
  }

  void erase(std::uint32_t key) {
    Operation operation = log_.begin({.kind = Kind::kErase, .key = key});
    perhaps_yield();
    bool erased = false;
    if (one_in(2)) {
      erased = cache_.erase(name_of(key));
    } else {
      const WriteResult result = cache_.write(name_of(key), [&](const Item* current) {
        erased = current != nullptr;
        return Verdict::erase();
      });
      EXPECT_EQ(result.status, WriteResult::Status::kErased);
    }
    if (!erased) operation.outcome = Outcome::kMissing;
    perhaps_yield();
    log_.end(std::move(operation));
  }

  void flush() {
    Operation operation = log_.begin({.kind = Kind::kFlush});
    perhaps_yield();
    cache_.flush();
    log_.end(std::move(operation));
  }

  [[nodiscard]] static std::string name_of(std::uint32_t key) { return fmt::format("key{}", key); }

  Stage& stage_;
  SegCache& cache_;
  unsigned thread_;
  Log log_;
  Random random_;
  std::uint32_t now_sec_ = 0;
  std::uint64_t fillers_ = 0;
  std::uint64_t values_ = 0;
  std::uint64_t no_space_ = 0;
};

// What came of the histories of one set-up, so that none is for nothing.
struct Sums {
  std::uint64_t histories = 0;
  std::uint64_t operations = 0;
  std::uint64_t overlapping = 0;  // with the one before, of any key
  std::uint64_t hits = 0;
  std::uint64_t evicted = 0;
  std::uint64_t expired = 0;
  std::uint64_t no_space = 0;
};

void sum_up(std::vector<Operation>& operations, Sums& sums) {
  std::ranges::sort(operations, {}, &Operation::invoked);
  std::uint64_t last_response = 0;
  for (const Operation& operation : operations) {
    if (operation.kind == Kind::kTurn) continue;
    ++sums.operations;
    sums.overlapping += operation.invoked < last_response;
    sums.hits += operation.kind == Kind::kGet && operation.outcome == Outcome::kDone;
    last_response = std::max(last_response, operation.responded);
  }
}

void run_history(bool evicts, std::uint64_t seed, Sums& sums) {
  static constexpr std::array kPolicies = {"seger", "fifo", "merge", "cte", "util", "random", "random_fifo"};
  Random random(seed);
  const unsigned threads = 2 + static_cast<unsigned>(random() % 3);
  Stage stage{.evicts = evicts, .keys = 4 + static_cast<std::uint32_t>(random() % (kKeysMax - 3))};
  const Heap heap = evicts ? tiny_heap(kPolicies[random() % kPolicies.size()], threads)
                           : Heap{.segments = 512, .segment_bytes = 32 * kKib};
  const auto handles = make_handles(heap, seed, threads);
  std::vector<std::unique_ptr<Actor>> actors;
  for (unsigned thread = 0; thread < threads; ++thread) {
    actors.push_back(std::make_unique<Actor>(stage, *handles[thread], thread, random()));
  }
  for (unsigned batch = 0; batch < kBatches; ++batch) {
    std::vector<std::jthread> running;
    running.reserve(threads);
    for (const auto& actor : actors) running.emplace_back([&actor] { actor->batch(); });
    running.clear();  // joins
    handles.front()->check_invariants();
  }
  for (const auto& actor : actors) actor->get_all();
  handles.front()->check_invariants();

  std::vector<Operation> operations;
  for (const auto& actor : actors) {
    operations.insert(operations.end(), actor->operations().begin(), actor->operations().end());
    sums.no_space += actor->no_space();
  }
  sum_up(operations, sums);
  const Stats stats = handles.front()->stats();
  sums.evicted += stats.evicted_items;
  sums.expired += stats.expired_items;
  const std::string violation = violation_of(operations, {.evicts = evicts});
  EXPECT_TRUE(violation.empty()) << heap.eviction << ", " << threads << " threads: " << violation;
}

Sums run_histories(bool evicts) {
  const std::uint64_t seeds = from_environment("PELIKAN_HISTORY_SEEDS", 100);
  const std::uint64_t first = from_environment("PELIKAN_HISTORY_SEED", std::random_device{}());
  Sums sums;
  for (std::uint64_t seed = first; seed < first + seeds && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(fmt::format("PELIKAN_HISTORY_SEED={}", seed));
    run_history(evicts, seed, sums);
    ++sums.histories;
  }
  std::printf("PELIKAN_HISTORY_SEED=%llu to %llu: %s\n", static_cast<unsigned long long>(first),
              static_cast<unsigned long long>(first + seeds - 1),
              fmt::format("{} operations, {} overlapping; {} hits; {} items evicted, {} expired; {} times no space",
                          sums.operations, sums.overlapping, sums.hits, sums.evicted, sums.expired, sums.no_space)
                  .c_str());
  EXPECT_GT(sums.hits, sums.operations / 20);
  return sums;
}

TEST(Concurrent, NeverEvicting) {
  const Sums sums = run_histories(false);
  EXPECT_EQ(sums.evicted, 0U) << "the index grows too late";
  EXPECT_EQ(sums.no_space, 0U);
}

TEST(Concurrent, EvictingAllTheTime) {
  const Sums sums = run_histories(true);
  EXPECT_GT(sums.evicted, sums.operations / 10);
}

}  // namespace
}  // namespace pelikan::storage::segcache
