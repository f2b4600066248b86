#include "tools/replay/replay.h"

#include <chrono>
#include <limits>

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

class Player {
 public:
  Player(const Trace& trace, const storage::segcache::SegOptions& options)
      : trace_(trace),
        first_second_(trace.requests.front().time_sec),
        cache_(options, KeyHash(kHashSeed), time_of(first_second_)),
        value_(cache_.stats().segment_bytes, 'v') {}

  Outcome play() {
    const std::size_t warm_up = trace_.requests.size() / kWarmUpPart;
    play_range(0, warm_up);
    outcome_ = {};
    const auto begin = std::chrono::steady_clock::now();
    play_range(warm_up, trace_.requests.size());
    outcome_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    outcome_.requests = trace_.requests.size() - warm_up;
    measure_storage();
    return outcome_;
  }

 private:
  [[nodiscard]] Time time_of(std::uint32_t trace_second) const noexcept {
    const std::uint32_t second = trace_second - first_second_ + SystemClock::kStartSec;
    return {.floor_sec = second, .ceil_sec = second, .unix_sec = trace_second, .mono_ns = second * kNanosPerSecond};
  }

  void play_range(std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      const Request& request = trace_.requests[i];
      const Time now = time_of(request.time_sec);
      if (now.floor_sec != now_.floor_sec || i % kTurnRequests == 0) cache_.turn(now);
      now_ = now;
      execute(request);
    }
  }

  void execute(const Request& request) {
    const std::string_view key = trace_.keys.key(request.key);
    switch (request.operation()) {
      case Operation::kGet: return get(key, request);
      case Operation::kDelete: static_cast<void>(cache_.erase(key)); return;
      default: return store(key, request);
    }
  }

  void get(std::string_view key, const Request& request) {
    const std::uint64_t bytes = key.size() + request.value_bytes;
    ++outcome_.gets;
    outcome_.get_bytes += bytes;
    if (cache_.get(key)) return;
    ++outcome_.misses;
    outcome_.miss_bytes += bytes;
    store(key, request);
  }

  void store(std::string_view key, const Request& request) {
    if (!cache_.fits(key.size(), request.value_bytes)) {
      ++outcome_.refused;
      return;
    }
    const WriteResult result = cache_.write(key, [&](const Item* current) { return decide(request, current); });
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

  void measure_storage() {
    const auto stats = cache_.stats();
    outcome_.heap_bytes = stats.heap_bytes;
    outcome_.index_bytes = stats.index_bytes;
    outcome_.policy_bytes = stats.policy_bytes;
    outcome_.memory_bytes = stats.heap_bytes + stats.index_bytes + stats.policy_bytes + stats.table_bytes;
    outcome_.segment_bytes = stats.segment_bytes;
    std::uint64_t payload_bytes = 0;
    for (std::uint32_t key = 0; key < trace_.keys.count(); ++key) {
      const auto item = cache_.peek(trace_.keys.key(key));
      if (!item) continue;
      ++outcome_.items;
      payload_bytes += item->key.size() + item->value.size();
    }
    if (outcome_.items == 0 || stats.items == 0) return;
    // stats.items may count expired items that peek() does not show: so each sum is divided by its own count.
    outcome_.overhead_bytes_per_item = static_cast<double>(stats.live_bytes + stats.index_bytes + stats.policy_bytes) /
                                           static_cast<double>(stats.items) -
                                       static_cast<double>(payload_bytes) / static_cast<double>(outcome_.items);
  }

  const Trace& trace_;
  const std::uint32_t first_second_;
  SegCache cache_;
  std::string value_;  // what every value is made of
  Time now_;
  Outcome outcome_;
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

Outcome replay(const Trace& trace, const storage::segcache::SegOptions& options) {
  Outcome outcome = Player(trace, options).play();
  outcome.policy = options.eviction();
  return outcome;
}

Outcome replay_within(const Trace& trace, storage::segcache::SegOptions& options, std::uint64_t memory_bytes) {
  constexpr int kRunsMax = 5;
  constexpr std::uint64_t kTolerance = 500;  // one part in so many: less than a segment, mostly
  constexpr std::uint64_t kHashPowerMin = 3;
  if (!options.hash_power.is_set()) options.hash_power.set(kHashPowerMin);
  std::uint64_t heap_bytes = memory_bytes - memory_bytes / 10;
  Outcome outcome;
  for (int run = 0; run < kRunsMax; ++run) {
    options.heap_size.set(heap_bytes);
    outcome = replay(trace, options);
    const std::uint64_t besides = outcome.memory_bytes - outcome.heap_bytes;
    if (besides >= memory_bytes) throw config::Error("--whole-memory: less memory than the index needs");
    const std::uint64_t next = memory_bytes - besides;
    if (next <= heap_bytes + memory_bytes / kTolerance && heap_bytes <= next + memory_bytes / kTolerance) break;
    heap_bytes = next;
  }
  return outcome;
}

}  // namespace pelikan::tools::replay
