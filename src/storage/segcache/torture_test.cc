// A shared cache under readers that check every byte: what no thread may ever see, whatever the others do.
//
// Every value is made from its key and a version, and says so itself, so one that is torn, foreign or was written over
// cannot pass. It is checked when it is read and once more just before the thread's next turn, until when it must hold.
// And no thread goes back in time: it never sees what is older than what it has seen, written, erased or flushed.
// PELIKAN_TORTURE_READS says how many reads (a billion takes a quarter of an hour, optimised), PELIKAN_TORTURE_SEED
// repeats their keys.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <random>
#include <thread>

#include "storage/segcache/shared_kit.h"

namespace pelikan::storage::segcache {
namespace {

using Random = std::mt19937_64;
using Status = WriteResult::Status;

// A value is one or more of these, each followed by so many words.
struct Record {
  std::uint32_t key = 0;
  std::uint32_t words = 0;
  std::uint64_t version = 0;
};

std::uint64_t word_of(const Record& record, std::uint32_t n) noexcept {
  const std::uint64_t mixed = (record.version * 0x9E3779B97F4A7C15 + record.key + n) * 0xD6E8FEB86659FD93;
  return mixed ^ mixed >> 32;
}

std::string make_value(const Record& record) {
  std::string value(sizeof(Record) + record.words * sizeof(std::uint64_t), '\0');
  std::memcpy(value.data(), &record, sizeof(Record));
  for (std::uint32_t n = 0; n < record.words; ++n) {
    const std::uint64_t word = word_of(record, n);
    std::memcpy(value.data() + sizeof(Record) + n * sizeof(word), &word, sizeof(word));
  }
  return value;
}

std::uint32_t flags_of(std::uint64_t version) noexcept { return static_cast<std::uint32_t>(version); }

std::string name_of(std::uint32_t key) { return fmt::format("key{}", key); }

// Is it whole, of that key, and are the flags those of its first record?
bool is_whole(std::string_view value, std::uint32_t key, std::uint32_t flags) {
  for (bool first = true; first || !value.empty(); first = false) {
    Record record;
    if (value.size() < sizeof(Record)) return false;
    std::memcpy(&record, value.data(), sizeof(Record));
    value.remove_prefix(sizeof(Record));
    if (record.key != key || value.size() / sizeof(std::uint64_t) < record.words) return false;
    if (first && flags != flags_of(record.version)) return false;
    for (std::uint32_t n = 0; n < record.words; ++n) {
      std::uint64_t word = 0;
      std::memcpy(&word, value.data() + n * sizeof(word), sizeof(word));
      if (word != word_of(record, n)) return false;
    }
    value.remove_prefix(record.words * sizeof(std::uint64_t));
  }
  return true;
}

TEST(Torture, AValueSaysWhetherItIsWhole) {
  const Record record{.key = 7, .words = 3, .version = 9};
  const std::string value = make_value(record);
  EXPECT_TRUE(is_whole(value, 7, 9));
  EXPECT_TRUE(is_whole(value + make_value({.key = 7, .words = 0, .version = 1}), 7, 9));
  EXPECT_FALSE(is_whole(value, 8, 9));
  EXPECT_FALSE(is_whole(value, 7, 8));
  EXPECT_FALSE(is_whole("", 7, 9));
  for (std::size_t at = 0; at < value.size(); ++at) {
    std::string broken = value;
    broken[at] = static_cast<char>(broken[at] + 1);
    EXPECT_FALSE(is_whole(broken, 7, 9)) << at;
    EXPECT_FALSE(is_whole(value.substr(0, at), 7, 9)) << at;
  }
}

// Of the first record. REQUIRES: the value is whole.
std::uint64_t version_of(std::string_view value) {
  Record record;
  std::memcpy(&record, value.data(), sizeof(Record));
  return record.version;
}

constexpr unsigned kTorturers = 4;

// What a thread may still see of a key: of each writer this version or a later one. A writer's versions rise.
class Horizon {
 public:
  // It sees that one.
  [[nodiscard]] bool sees(std::uint64_t version) {
    std::uint64_t& earliest = earliest_[version % kTorturers];
    const bool may = 2 * version >= earliest;
    earliest = std::max(earliest, 2 * version);
    return may;
  }
  // All that it has seen so far is gone.
  void forget() {
    for (std::uint64_t& earliest : earliest_) earliest |= 1;
  }

 private:
  std::array<std::uint64_t, kTorturers> earliest_{};  // twice the version, odd if even that is gone
};

TEST(Torture, NobodyGoesBackInTime) {
  Horizon horizon;
  EXPECT_TRUE(horizon.sees(5));
  EXPECT_TRUE(horizon.sees(4));  // another writer's
  EXPECT_TRUE(horizon.sees(5));
  EXPECT_TRUE(horizon.sees(9));
  EXPECT_FALSE(horizon.sees(5));
  for (int i = 0; i < 10; ++i) horizon.forget();
  EXPECT_FALSE(horizon.sees(9));
  EXPECT_FALSE(horizon.sees(4));
  EXPECT_TRUE(horizon.sees(13));
}

// What the torturing threads share. The clock is relaxed: what orders the threads must be the cache alone, or
// ThreadSanitizer would not see what it leaves unordered.
struct Rack {
  std::vector<std::string> names;
  std::uint64_t reads_each = 0;
  std::atomic<std::uint32_t> now_sec{kTestStartSec};
  std::atomic<bool> broken{false};  // somebody has seen what must not be: all stop
};

class Torturer {
 public:
  Torturer(Rack& rack, SharedCache& cache, unsigned thread, std::uint64_t seed)
      : rack_(rack), cache_(cache), thread_(thread), random_(seed), horizons_(rack.names.size()) {}

  void run() {
    // Twenty times as many if nearly everything is missing: then it ends, and fails.
    for (std::uint64_t gets = 0; reads_ < rack_.reads_each && gets < 20 * rack_.reads_each;) {
      if (rack_.broken.load(std::memory_order_relaxed)) break;
      turn();
      for (std::uint32_t n = below(12); n > 0; --n) write();
      const std::uint32_t looked_at = one_in(100) ? below(1'000) : below(32);
      for (std::uint32_t n = 0; n < looked_at; ++n) read();
      if (one_in(100)) visit();
      for (const Seen& seen : seen_) check(seen, "at the end of the turn");
      seen_.clear();
      gets += looked_at;
      if (one_in(30)) cache_.rest();
    }
    cache_.rest();
  }

  [[nodiscard]] std::uint64_t reads() const noexcept { return reads_; }
  [[nodiscard]] std::uint64_t bytes_written() const noexcept { return bytes_written_; }
  [[nodiscard]] std::uint64_t no_space() const noexcept { return no_space_; }

 private:
  struct Seen {
    std::uint32_t key = 0;
    Item item;
  };

  [[nodiscard]] std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }
  [[nodiscard]] bool one_in(std::uint32_t n) { return below(n) == 0; }
  // Some more often than others.
  [[nodiscard]] std::uint32_t some_key() { return below(below(static_cast<std::uint32_t>(rack_.names.size())) + 1); }
  [[nodiscard]] std::uint32_t expiry() { return one_in(2) ? 0 : now_sec_ + 1 + (one_in(4) ? below(60) : below(3)); }

  void turn() {
    if (thread_ == 0 && one_in(50)) rack_.now_sec.fetch_add(1, std::memory_order_relaxed);
    now_sec_ = rack_.now_sec.load(std::memory_order_relaxed);
    cache_.turn(time_at(now_sec_));
  }

  void read() {
    const std::uint32_t key = some_key();
    const std::optional<Item> item = cache_.get(rack_.names[key]);
    if (!item) return;
    ++reads_;
    if (!check({key, *item}, "at once")) return;
    if (!horizons_[key].sees(version_of(item->value))) fail({key, *item}, "older than what was seen before");
    seen_.push_back({key, *item});
  }

  void visit() {
    cache_.visit(20, [&](const Item& item) {
      const auto named = std::ranges::find(rack_.names, item.key);
      check({static_cast<std::uint32_t>(named - rack_.names.begin()), item}, "visited");
      return true;
    });
  }

  bool check(const Seen& seen, const char* when) {
    const Item& item = seen.item;
    const bool good = is_its_key(seen) && is_whole(item.value, seen.key, item.flags) &&
                      (item.expire_at == 0 || item.expire_at > now_sec_) && item.cas != 0;
    if (!good) fail(seen, when);
    return good;
  }

  [[nodiscard]] bool is_its_key(const Seen& seen) const {
    return seen.key < rack_.names.size() && seen.item.key == rack_.names[seen.key];
  }

  void fail(const Seen& seen, const char* when) {
    if (rack_.broken.exchange(true, std::memory_order_relaxed)) return;
    const Item& item = seen.item;
    ADD_FAILURE() << fmt::format("{}, at {} s: key{}, {}, {} bytes, until {}, flags {:x}, token {:x}", when, now_sec_,
                                 seen.key, is_its_key(seen) ? "its own key" : "another key", item.value.size(),
                                 item.expire_at, item.flags, item.cas);
  }

  void write() {
    const std::uint32_t key = some_key();
    const std::uint32_t dice = below(1'000);
    if (dice < 650) return store(key);
    if (dice < 800) return append(key);
    if (dice < 900) return (void)cache_.touch(rack_.names[key], expiry());
    if (dice < 999) {
      (void)cache_.erase(rack_.names[key]);
      return horizons_[key].forget();
    }
    cache_.flush();
    for (Horizon& horizon : horizons_) horizon.forget();
  }

  [[nodiscard]] Record next_record(std::uint32_t key, std::uint32_t words_max) {
    return {.key = key, .words = below(words_max), .version = ++versions_ * kTorturers + thread_};
  }

  void store(std::uint32_t key) {
    const Record record = next_record(key, 70);
    const std::string value = make_value(record);
    const std::uint32_t expire_at = expiry();
    const WriteResult result = cache_.write(
        rack_.names[key], [&](const Item*) { return Verdict::store(value, flags_of(record.version), expire_at); });
    count(result, value.size());
    if (result.status != Status::kStored) return;
    horizons_[key].forget();
    (void)horizons_[key].sees(record.version);
  }

  void append(std::uint32_t key) {
    constexpr std::size_t kValueBytesMax = 2'000;
    const std::string end = make_value(next_record(key, 20));
    std::size_t bytes = 0;
    count(cache_.write(rack_.names[key],
                       [&](const Item* current) -> Verdict {
                         bytes = 0;
                         if (current == nullptr || current->value.size() > kValueBytesMax) return Verdict::keep();
                         bytes = current->value.size() + end.size();
                         return {Verdict::Kind::kStore, current->value, end, current->flags, current->expire_at};
                       }),
          bytes);
  }

  void count(const WriteResult& result, std::size_t bytes) {
    if (result.status == Status::kStored) bytes_written_ += bytes;
    if (result.status == Status::kNoSpace) ++no_space_;
    EXPECT_NE(result.status, Status::kTooLarge);
  }

  Rack& rack_;
  SharedCache& cache_;
  unsigned thread_;
  Random random_;
  std::uint32_t now_sec_ = 0;
  std::vector<Seen> seen_;
  std::vector<Horizon> horizons_;  // by key
  std::uint64_t versions_ = 0;
  std::uint64_t reads_ = 0;
  std::uint64_t bytes_written_ = 0;
  std::uint64_t no_space_ = 0;
};

TEST(Torture, WhatIsReadIsWholeUntilTheNextTurn) {
  constexpr std::uint32_t kKeys = 1'500;
  static constexpr std::array kPolicies = {"seger", "merge", "fifo", "random"};
  const std::uint64_t reads = from_environment("PELIKAN_TORTURE_READS", kSlow ? 400'000 : 2'000'000);
  const std::uint64_t seed = from_environment("PELIKAN_TORTURE_SEED", std::random_device{}());
  std::printf("PELIKAN_TORTURE_SEED=%llu\n", static_cast<unsigned long long>(seed));
  Random random(seed);
  for (const char* policy : kPolicies) {
    SCOPED_TRACE(policy);
    Rack rack{.names = {}, .reads_each = reads / kPolicies.size() / kTorturers};
    for (std::uint32_t key = 0; key < kKeys; ++key) rack.names.push_back(name_of(key));
    const Heap heap = tiny_heap(policy, kTorturers);
    const auto handles = make_handles(heap, seed, kTorturers);
    std::vector<std::unique_ptr<Torturer>> torturers;
    for (unsigned thread = 0; thread < kTorturers; ++thread) {
      torturers.push_back(std::make_unique<Torturer>(rack, *handles[thread], thread, random()));
    }
    std::vector<std::jthread> running;
    running.reserve(kTorturers);
    for (const auto& torturer : torturers) running.emplace_back([&torturer] { torturer->run(); });
    running.clear();  // joins
    std::uint64_t bytes_written = 0;
    std::uint64_t no_space = 0;
    for (const auto& torturer : torturers) {
      ASSERT_GE(torturer->reads(), rack.reads_each);
      bytes_written += torturer->bytes_written();
      no_space += torturer->no_space();
    }
    handles.front()->turn(time_at(rack.now_sec));
    handles.front()->check_invariants();
    const Stats stats = handles.front()->stats();
    const std::uint64_t reuses = bytes_written / heap.segment_bytes;
    std::printf("%s: each segment reused some %llu times; %llu items evicted, %llu expired; %llu times no space\n",
                policy, static_cast<unsigned long long>(reuses / heap.segments),
                static_cast<unsigned long long>(stats.evicted_items),
                static_cast<unsigned long long>(stats.expired_items), static_cast<unsigned long long>(no_space));
    EXPECT_GT(reuses, reads / 1'000);
    EXPECT_GT(stats.evicted_items, reads / 1'000);
    EXPECT_GT(stats.expired_items, reads / 1'000);
  }
}

// For the tests below: a value that the key alone makes.
Status store(SharedCache& cache, std::uint32_t key, std::uint32_t words) {
  const std::string value = make_value({.key = key, .words = words, .version = key});
  return cache.write(name_of(key), [&](const Item*) { return Verdict::store(value, key, 0); }).status;
}

bool shows(const std::optional<Item>& item, std::uint32_t key) {
  return item && item->key == name_of(key) && is_whole(item->value, key, key);
}

constexpr Time kNow = time_at(kTestStartSec);

// Keys that are there are found, however the index grows around them.
TEST(Torture, NothingIsMissedWhileTheIndexGrows) {
  constexpr std::uint32_t kFixed = 1'000;
  constexpr std::uint32_t kItems = kSlow ? 60'000 : 300'000;
  constexpr unsigned kWriters = 2;
  constexpr unsigned kReaders = 2;
  constexpr unsigned kPerTurn = 64;
  const auto handles = make_handles({.segments = 1'024, .segment_bytes = 64 * kKib}, 1, kWriters + kReaders);
  SharedCache& first = *handles.front();
  first.turn(kNow);
  for (std::uint32_t key = 0; key < kFixed; ++key) ASSERT_EQ(store(first, key, 1), Status::kStored);
  first.rest();

  std::atomic<unsigned> writing{kWriters};
  const auto write = [&](unsigned thread) {
    SharedCache& cache = *handles[thread];
    std::uint64_t refused = 0;
    for (std::uint32_t n = thread; n < kItems; n += kWriters) {
      if (n / kWriters % kPerTurn == 0) cache.turn(kNow);
      refused += store(cache, kFixed + n, 1) != Status::kStored;
    }
    cache.rest();
    --writing;
    EXPECT_EQ(refused, 0U);
  };
  const auto read = [&](unsigned thread) {
    SharedCache& cache = *handles[thread];
    std::uint64_t reads = 0;
    std::uint64_t misses = 0;
    do {
      if (reads % kPerTurn == 0) cache.turn(kNow);
      const auto key = static_cast<std::uint32_t>((reads + thread) % kFixed);
      misses += !shows(cache.get(name_of(key)), key);
      ++reads;
    } while (writing > 0);
    cache.rest();
    EXPECT_EQ(misses, 0U) << "of " << reads;
  };
  {
    std::vector<std::jthread> running;
    for (unsigned thread = 0; thread < kWriters; ++thread) running.emplace_back(write, thread);
    for (unsigned thread = kWriters; thread < kWriters + kReaders; ++thread) running.emplace_back(read, thread);
  }

  first.turn(kNow);
  first.check_invariants();
  EXPECT_EQ(first.stats().items, kFixed + kItems);
  EXPECT_EQ(first.stats().evicted_items, 0U);
  std::uint64_t lost = 0;
  for (std::uint32_t key = 0; key < kFixed + kItems; ++key) {
    if (key % kPerTurn == 0) first.turn(kNow);
    lost += !shows(first.get(name_of(key)), key);
  }
  EXPECT_EQ(lost, 0U);
}

// Threads that add items in the same moment learn late of each other's: the index must not wait until its chains are
// full, when each new item costs another.
TEST(Torture, NothingIsLostWhileSeveralAddBetweenTurns) {
  constexpr unsigned kHandles = 4;
  constexpr std::uint32_t kEach = 100;
  const auto handles = make_handles({.segments = 256, .segment_bytes = 64 * kKib}, 1, kHandles);
  for (const auto& handle : handles) handle->turn(kNow);
  for (std::uint32_t key = 0; key < kHandles * kEach; ++key) {
    ASSERT_EQ(store(*handles[key % kHandles], key, 1), Status::kStored);
  }
  std::uint32_t lost = 0;
  for (std::uint32_t key = 0; key < kHandles * kEach; ++key) {
    lost += !shows(handles.front()->get(name_of(key)), key);
  }
  EXPECT_EQ(lost, 0U);
}

// How long a call may take while a thread is stuck. A write gives up after a tenth of a second; the rest is for slow
// machines.
class Stopwatch {
 public:
  void start() { start_ = Clock::now(); }
  void stop() { longest_ = std::max(longest_, Clock::now() - start_); }
  void expect_no_hang() const { EXPECT_LT(longest_, std::chrono::seconds(2)); }

 private:
  using Clock = std::chrono::steady_clock;

  Clock::time_point start_;
  Clock::duration longest_{};
};

// One thread has a view and neither turns nor rests. Nothing may be written over that it sees, so room runs out; but
// nobody hangs, readers go on, and after its next turn there is room again.
class StuckThread : public testing::Test {
 protected:
  static constexpr unsigned kWriters = 2;
  static constexpr unsigned kPerTurn = 16;
  static constexpr std::uint32_t kWords = 60;
  static constexpr std::uint32_t kItems = 2'000;  // four times the heap

  // Fills the heap over and over, until it was refused a few times.
  void write(unsigned thread) {
    SharedCache& cache = *handles_[thread];
    Stopwatch stopwatch;
    std::uint32_t stored = 0;
    unsigned refused = 0;
    for (std::uint32_t n = 0; n < kItems && refused < 3; ++n) {
      stopwatch.start();
      if (n % kPerTurn == 0) cache.turn(kNow);
      const Status status = store(cache, 1 + n * kWriters + thread, kWords);
      stopwatch.stop();
      stored += status == Status::kStored;
      refused += status == Status::kNoSpace;
    }
    cache.rest();
    --writing_;
    stored_ += stored;
    stopwatch.expect_no_hang();
    EXPECT_TRUE(refused == 3 || stored + refused == kItems);
  }

  void read(unsigned thread) {
    SharedCache& cache = *handles_[thread];
    Stopwatch stopwatch;
    std::uint64_t broken = 0;
    std::uint32_t n = 0;
    do {
      const std::uint32_t key = n % kItems;
      stopwatch.start();
      if (n % kPerTurn == 0) cache.turn(kNow);
      const std::optional<Item> item = cache.get(name_of(key));
      stopwatch.stop();
      broken += item && !shows(item, key);
      ++n;
    } while (writing_ > 0);
    cache.rest();
    stopwatch.expect_no_hang();
    EXPECT_EQ(broken, 0U);
  }

  std::vector<std::unique_ptr<SharedCache>> handles_ = make_handles(tiny_heap("seger", kWriters + 2), 1, kWriters + 2);
  std::atomic<unsigned> writing_{kWriters};
  std::atomic<std::uint64_t> stored_{0};
};

TEST_F(StuckThread, StopsNobody) {
  constexpr std::uint32_t kHeld = 0;
  SharedCache& stuck = *handles_[0];
  stuck.turn(kNow);
  ASSERT_EQ(store(stuck, kHeld, kWords), Status::kStored);
  stuck.turn(kNow);
  const std::optional<Item> held = stuck.get(name_of(kHeld));
  ASSERT_TRUE(held);
  {
    std::vector<std::jthread> running;
    for (unsigned thread = 1; thread <= kWriters; ++thread) running.emplace_back([this, thread] { write(thread); });
    running.emplace_back([this] { read(kWriters + 1); });
  }
  EXPECT_TRUE(shows(held, kHeld));
  EXPECT_GT(stored_, 0U);

  stuck.turn(kNow);
  stuck.rest();
  SharedCache& writer = *handles_[1];
  for (std::uint32_t key = 1; key <= kItems; ++key) {
    if (key % kPerTurn == 1) writer.turn(kNow);
    ASSERT_EQ(store(writer, key, kWords), Status::kStored) << key;
  }
  writer.rest();
  stuck.turn(kNow);
  EXPECT_TRUE(shows(stuck.get(name_of(kItems)), kItems));
  stuck.check_invariants();
}

}  // namespace
}  // namespace pelikan::storage::segcache
