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
#include <cstdio>
#include <random>
#include <thread>

#include "storage/segcache/shared_kit.h"
#include "storage/segcache/whole_value.h"

namespace pelikan::storage::segcache {
namespace {

using Random = std::mt19937_64;
using Status = WriteResult::Status;

TEST(Torture, AValueSaysWhetherItIsWhole) {
  const Piece piece{.key = 7, .words = 3, .version = 9};
  const std::string value = make_value(piece);
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
  Torturer(Rack& rack, SegCache& cache, unsigned thread, std::uint64_t seed)
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
  static constexpr std::uint32_t kLargeWords = 3'000;  // most of these fit no segment

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

  [[nodiscard]] Piece next_piece(std::uint32_t key, std::uint32_t words_max) {
    return {.key = key, .words = below(words_max), .version = ++versions_ * kTorturers + thread_};
  }

  void store(std::uint32_t key) {
    const Piece piece = next_piece(key, one_in(40) ? kLargeWords : 70);
    const std::string value = make_value(piece);
    const std::uint32_t expire_at = expiry();
    const WriteResult result = cache_.write(
        rack_.names[key], [&](const Item*) { return Verdict::store(value, flags_of(piece.version), expire_at); });
    count(result, value.size());
    if (result.status != Status::kStored) return;
    horizons_[key].forget();
    (void)horizons_[key].sees(piece.version);
  }

  void append(std::uint32_t key) {
    constexpr std::size_t kValueBytesMax = 12'000;
    const std::string end = make_value(next_piece(key, 20));
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
  SegCache& cache_;
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

}  // namespace
}  // namespace pelikan::storage::segcache
