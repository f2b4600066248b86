#include "tools/replay/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <deque>
#include <limits>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/hash.h"
#include "storage/segcache/segcache.h"

namespace pelikan::tools::replay {
namespace {

using storage::segcache::Item;
using storage::segcache::SegCache;
using storage::segcache::Verdict;
using storage::segcache::WriteResult;

constexpr std::uint64_t kHashSeed = 1;  // fixed, so that a run can be repeated
constexpr std::size_t kWarmUpPart = 5;

Time time_of(std::uint32_t trace_second, std::uint32_t first_second) noexcept {
  const std::uint32_t second = trace_second - first_second + SystemClock::kStartSec;
  return {.floor_sec = second, .ceil_sec = second, .unix_sec = trace_second, .mono_ns = second * kNanosPerSecond};
}

// One thread's part.
class Player {
 public:
  Player(const Trace& trace, const std::string& value, std::unique_ptr<SegCache> cache)
      : trace_(trace), value_(value), first_second_(trace.requests.front().time_sec), cache_(std::move(cache)) {}

  [[nodiscard]] SegCache& cache() noexcept { return *cache_; }
  [[nodiscard]] const Outcome& outcome() const noexcept { return outcome_; }
  void forget_outcome() noexcept { outcome_ = {}; }

  // A block of requests: a turn, and more when the second changes.
  void play(std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      const Request& request = trace_.requests[i];
      const Time now = time_of(request.time_sec, first_second_);
      if (i == begin || now.floor_sec != now_.floor_sec || i % kTurnRequests == 0) cache_->turn(now);
      now_ = now;
      execute(request);
    }
  }

 private:
  void execute(const Request& request) {
    const std::string_view key = trace_.keys.key(request.key);
    switch (request.operation()) {
      case Operation::kGet: return get(key, request);
      case Operation::kDelete: static_cast<void>(cache_->erase(key)); return;
      default: return store(key, request);
    }
  }

  void get(std::string_view key, const Request& request) {
    const std::uint64_t bytes = key.size() + request.value_bytes;
    ++outcome_.gets;
    outcome_.get_bytes += bytes;
    if (cache_->get(key)) return;
    ++outcome_.misses;
    outcome_.miss_bytes += bytes;
    store(key, request);
  }

  void store(std::string_view key, const Request& request) {
    if (!cache_->fits(key.size(), request.value_bytes)) {
      ++outcome_.refused;
      return;
    }
    const WriteResult result = cache_->write(key, [&](const Item* current) { return decide(request, current); });
    if (result.status == WriteResult::Status::kTooLarge || result.status == WriteResult::Status::kNoSpace)
      ++outcome_.refused;
  }

  // REQUIRES: an item of the request's size fits.
  [[nodiscard]] Verdict decide(const Request& request, const Item* current) const noexcept {
    const std::string_view value = std::string_view(value_).substr(0, request.value_bytes);
    const Verdict fresh = Verdict::store(value, 0, expire_at(request.ttl_sec));
    switch (request.operation()) {
      case Operation::kGet:
      case Operation::kSet: return fresh;
      case Operation::kAdd: return current == nullptr ? fresh : Verdict::keep();
      case Operation::kReplace:
      case Operation::kCas: return current != nullptr ? fresh : Verdict::keep();
      default: break;
    }
    if (current == nullptr) return Verdict::keep();
    Verdict changed = Verdict::store(current->value, current->flags, current->expire_at);
    if (request.operation() == Operation::kAppend) changed.back = value;
    if (request.operation() == Operation::kPrepend) {
      changed.front = value;
      changed.back = current->value;
    }
    return changed;
  }

  [[nodiscard]] std::uint32_t expire_at(std::uint32_t ttl_sec) const noexcept {
    if (ttl_sec == 0 || ttl_sec > std::numeric_limits<std::uint32_t>::max() - now_.ceil_sec) return 0;
    return now_.ceil_sec + ttl_sec;
  }

  const Trace& trace_;
  const std::string& value_;  // what every value is made of
  const std::uint32_t first_second_;
  std::unique_ptr<SegCache> cache_;
  Time now_;
  Outcome outcome_;
};

// The players' blocks take turns. They meet after each kRoundRequests: so that none is far ahead in time.
class Game {
 public:
  Game(const Trace& trace, const storage::segcache::SegOptions& options, unsigned threads) : trace_(trace) {
    const Time start = time_of(trace.requests.front().time_sec, trace.requests.front().time_sec);
    auto first = std::make_unique<SegCache>(options, KeyHash(kHashSeed), start, threads);
    value_.assign(first->stats().value_bytes_max, 'v');
    std::vector<std::unique_ptr<SegCache>> handles;
    for (unsigned i = 1; i < threads; ++i) handles.push_back(first->share());
    players_.emplace_back(trace, value_, std::move(first));
    for (auto& handle : handles) players_.emplace_back(trace, value_, std::move(handle));
  }

  Outcome play() {
    const std::size_t warm_up = trace_.requests.size() / kWarmUpPart;
    play_range(0, warm_up);
    for (Player& player : players_) player.forget_outcome();
    const auto begin = std::chrono::steady_clock::now();
    play_range(warm_up, trace_.requests.size());
    Outcome outcome;
    outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    outcome.requests = trace_.requests.size() - warm_up;
    for (const Player& player : players_) {
      outcome.gets += player.outcome().gets;
      outcome.misses += player.outcome().misses;
      outcome.get_bytes += player.outcome().get_bytes;
      outcome.miss_bytes += player.outcome().miss_bytes;
      outcome.refused += player.outcome().refused;
    }
    measure_storage(outcome);
    return outcome;
  }

 private:
  static constexpr std::size_t kRoundRequests = 64 * kTurnRequests;

  void play_range(std::size_t begin, std::size_t end) {
    if (players_.size() == 1) return players_.front().play(begin, end);
    std::barrier meet(static_cast<std::ptrdiff_t>(players_.size()));
    std::vector<std::jthread> threads;
    for (std::size_t n = 0; n < players_.size(); ++n) {
      threads.emplace_back([&, n] {
        for (std::size_t round = begin; round < end; round += kRoundRequests) {
          const std::size_t round_end = std::min(end, round + kRoundRequests);
          for (std::size_t at = round + n * kTurnRequests; at < round_end; at += players_.size() * kTurnRequests) {
            players_[n].play(at, std::min(round_end, at + kTurnRequests));
          }
          players_[n].cache().rest();
          meet.arrive_and_wait();
        }
      });
    }
  }

  void measure_storage(Outcome& outcome) {
    SegCache& cache = players_.front().cache();
    const auto stats = cache.stats();
    outcome.heap_bytes = stats.heap_bytes;
    outcome.index_bytes = stats.index_bytes;
    outcome.policy_bytes = stats.policy_bytes;
    outcome.memory_bytes = stats.heap_bytes + stats.index_bytes + stats.policy_bytes + stats.table_bytes;
    outcome.segment_bytes = stats.segment_bytes;
    std::uint64_t payload_bytes = 0;
    for (std::uint32_t key = 0; key < trace_.keys.count(); ++key) {
      const auto item = cache.peek(trace_.keys.key(key));
      if (!item) continue;
      ++outcome.items;
      payload_bytes += item->key.size() + item->value.size();
    }
    if (outcome.items == 0 || stats.items == 0) return;
    // stats.items may count expired items that peek() does not show: so each sum is divided by its own count.
    outcome.overhead_bytes_per_item = static_cast<double>(stats.live_bytes + stats.index_bytes + stats.policy_bytes) /
                                          static_cast<double>(stats.items) -
                                      static_cast<double>(payload_bytes) / static_cast<double>(outcome.items);
  }

  const Trace& trace_;
  std::string value_;
  std::deque<Player> players_;  // one per thread
};

double ratio(std::uint64_t part, std::uint64_t whole) noexcept {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

double Outcome::object_miss_ratio() const noexcept { return ratio(misses, gets); }
double Outcome::byte_miss_ratio() const noexcept { return ratio(miss_bytes, get_bytes); }
double Outcome::requests_per_second() const noexcept {
  return seconds > 0 ? static_cast<double>(requests) / seconds : 0;
}

Outcome replay(const Trace& trace, const storage::segcache::SegOptions& options, unsigned threads) {
  if (threads > 1 && !SegCache::shareable(options, threads)) {
    throw config::Error(fmt::format("--threads: a heap of {} segments is too small for {} threads",
                                    storage::segcache::Geometry::from(options).segments, threads));
  }
  Outcome outcome = Game(trace, options, threads).play();
  outcome.policy = options.eviction();
  return outcome;
}

Outcome replay_within(const Trace& trace, storage::segcache::SegOptions& options, std::uint64_t memory_bytes,
                      unsigned threads) {
  constexpr int kRunsMax = 5;
  constexpr std::uint64_t kTolerance = 500;  // one part in so many: less than a segment, mostly
  constexpr std::uint64_t kHashPowerMin = 3;
  if (!options.hash_power.is_set()) options.hash_power.set(kHashPowerMin);
  std::uint64_t heap_bytes = memory_bytes - memory_bytes / 10;
  Outcome outcome;
  for (int run = 0; run < kRunsMax; ++run) {
    options.heap_size.set(heap_bytes);
    outcome = replay(trace, options, threads);
    const std::uint64_t besides = outcome.memory_bytes - outcome.heap_bytes;
    if (besides >= memory_bytes) throw config::Error("--whole-memory: less memory than the index needs");
    const std::uint64_t next = memory_bytes - besides;
    if (next <= heap_bytes + memory_bytes / kTolerance && heap_bytes <= next + memory_bytes / kTolerance) break;
    heap_bytes = next;
  }
  return outcome;
}

}  // namespace pelikan::tools::replay
