// The storage alone, without protocol or network: what GET and SET cost beside what memory costs, and how long single
// operations take while the index grows. The numbers in docs/storage.md, "Speed", are from here.
//
// Everything that is compared is measured in turns of some 1,000 operations within one run, and reported as the median
// of the turns: a machine that others use too changes its speed between runs. "two_misses" is what two loads cost that
// miss the caches and of which the second needs the result of the first, in memory of the same size.
// SEGCACHE_BENCH_ITEMS sets how many items there are. The default is for a quick look; it fits the CPU's caches.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "metrics/histogram.h"
#include "storage/segcache/region.h"
#include "storage/segcache/segcache.h"
#include "tools/bench/random.h"

namespace pelikan::storage::segcache {
namespace {

using tools::bench::Random;
using tools::bench::Zipf;

constexpr std::size_t kKeyBytes = 20;
constexpr std::size_t kValueBytes = 100;
constexpr std::uint64_t kItemBytes = 128;
constexpr std::size_t kTurn = 1024;  // operations
constexpr std::size_t kBatch = 16;

std::uint32_t items() {
  const char* text = std::getenv("SEGCACHE_BENCH_ITEMS");
  return text == nullptr ? 20'000 : static_cast<std::uint32_t>(std::strtoul(text, nullptr, 10));
}
std::size_t turns() { return std::clamp<std::size_t>(items() / kTurn, 5, 4000); }

std::uint64_t now_ns(clockid_t clock) {
  timespec at;
  ::clock_gettime(clock, &at);
  return static_cast<std::uint64_t>(at.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(at.tv_nsec);
}

struct KeyText {
  std::array<char, kKeyBytes> text;

  explicit KeyText(std::uint32_t number) {
    text.fill('0');
    std::memcpy(text.data(), "key:", 4);
    for (std::size_t i = kKeyBytes; number != 0; number /= 10) text[--i] = static_cast<char>('0' + number % 10);
  }
  [[nodiscard]] std::string_view view() const { return {text.data(), kKeyBytes}; }
};

// Keys as they lie in a receive buffer, popular ones first drawn from all over the cache.
class Keys {
 public:
  explicit Keys(std::uint32_t count, std::uint64_t seed = 1) : count_(count), zipf_(count, 0.99), random_(seed) {
    do step_ += 2;
    while (std::gcd(step_, count_) != 1);
  }
  std::vector<KeyText>& draw() {
    keys_.clear();
    for (std::size_t i = 0; i < kTurn; ++i) {
      keys_.emplace_back(static_cast<std::uint32_t>(std::uint64_t{zipf_.draw(random_)} * step_ % count_));
    }
    return keys_;
  }

 private:
  std::uint32_t count_;
  std::uint32_t step_ = 0x9E3779B1 - 2;
  Zipf zipf_;
  Random random_;
  std::vector<KeyText> keys_;
};

constexpr Time kNow{.floor_sec = 2, .ceil_sec = 2, .unix_sec = 0, .mono_ns = 0};

// One thread's cache.
struct Cache {
  explicit Cache(std::uint64_t heap_bytes, std::uint64_t hash_power = 16, unsigned threads = 1)
      : owned(std::make_unique<SegCache>(options(seg_options, heap_bytes, hash_power), KeyHash(1), kNow, threads)) {}
  // The same storage for one thread more.
  explicit Cache(std::unique_ptr<SegCache> handle) : owned(std::move(handle)) {}
  static SegOptions& options(SegOptions& options, std::uint64_t heap_bytes, std::uint64_t hash_power) {
    options.heap_size.set(std::max<std::uint64_t>(heap_bytes, config::kMiB));
    options.hash_power.set(hash_power);
    return options;
  }
  void fill(std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) set(KeyText(i).view());
  }
  void set(const Key& key) {
    const WriteResult result = seg.write(key, [this](const Item*) { return Verdict::store(value, 0, 0); });
    benchmark::DoNotOptimize(result.cas);
  }
  // Copies the value, as a reply does.
  void get(const Key& key) {
    const std::optional<Item> item = seg.get(key);
    if (!item) return;
    ++hits;
    std::memcpy(&output[output_at], item->value.data(), item->value.size());
    output_at = (output_at + kValueBytes) % (output.size() - kValueBytes);
  }

  SegOptions seg_options;
  std::unique_ptr<SegCache> owned;
  SegCache& seg = *owned;
  std::string value = std::string(kValueBytes, 'v');
  std::string output = std::string(64 * 1024, ' ');
  std::size_t output_at = 0;
  std::uint64_t hits = 0;
};

// One cycle through all cache lines of a piece of memory, in random order.
class Chase {
 public:
  explicit Chase(std::size_t bytes) : memory_(bytes, "the pointer chase"), lines_(bytes / sizeof(Line)) {
    if (!memory_.commit(bytes)) std::abort();
    for (std::size_t i = 0; i < lines_; ++i) line(i).next = i;
    Random random(2);
    for (std::size_t i = lines_ - 1; i > 0; --i) {
      std::swap(line(i).next, line(random.below(static_cast<std::uint32_t>(i))).next);
    }
  }
  void step() { at_ = line(at_).next; }
  [[nodiscard]] std::size_t at() const { return at_; }

 private:
  struct alignas(64) Line {
    std::size_t next;
  };
  Line& line(std::size_t i) { return reinterpret_cast<Line*>(memory_.data())[i]; }

  Region memory_;
  std::size_t lines_;
  std::size_t at_ = 0;
};

// What one way of doing it took of the CPU in each turn, per operation.
class Timings {
 public:
  template <class F>
  void measure(F&& turn) {
    const std::uint64_t start = now_ns(CLOCK_THREAD_CPUTIME_ID);
    turn();
    ns_.push_back(static_cast<double>(now_ns(CLOCK_THREAD_CPUTIME_ID) - start) / kTurn);
  }
  [[nodiscard]] double mean() const {
    return std::accumulate(ns_.begin(), ns_.end(), 0.0) / static_cast<double>(ns_.size());
  }
  double median() {
    std::nth_element(ns_.begin(), ns_.begin() + static_cast<std::ptrdiff_t>(ns_.size() / 2), ns_.end());
    return ns_[ns_.size() / 2];
  }

 private:
  std::vector<double> ns_;
};

// As a pipelined batch is executed.
void get_batch(Cache& cache, std::span<const KeyText> keys) {
  std::array<std::uint64_t, kBatch> hashes;
  for (std::size_t i = 0; i < keys.size(); ++i) hashes[i] = cache.seg.prefetch(keys[i].view());
  for (std::size_t i = 0; i < keys.size(); ++i) cache.seg.prefetch_item(hashes[i]);
  for (std::size_t i = 0; i < keys.size(); ++i) cache.get({keys[i].view(), hashes[i]});
}

// Of single calls.
struct Latencies {
  metrics::HistogramCounts counts;
  std::uint64_t max_ns = 0;
  std::uint64_t over_1ms = 0;

  void record(std::uint64_t ns) {
    ++counts.buckets[metrics::bucket_of(ns)];
    max_ns = std::max(max_ns, ns);
    over_1ms += ns > 1'000'000;
  }
  void tell(benchmark::State& state, const std::string& clock) const {
    state.counters[clock + "_p50_ns"] = static_cast<double>(counts.percentile(0.5));
    state.counters[clock + "_p999_ns"] = static_cast<double>(counts.percentile(0.999));
    state.counters[clock + "_p99999_ns"] = static_cast<double>(counts.percentile(0.99999));
    state.counters[clock + "_max_us"] = static_cast<double>(max_ns) / 1e3;
    state.counters[clock + "_over_1ms"] = static_cast<double>(over_1ms);
  }
};

// What reading the two clocks adds to a call that is timed with them.
double clock_ns() {
  constexpr int kReadings = 10'000;
  const std::uint64_t start = now_ns(CLOCK_THREAD_CPUTIME_ID);
  for (int i = 0; i < kReadings; ++i) benchmark::DoNotOptimize(now_ns(CLOCK_THREAD_CPUTIME_ID));
  return static_cast<double>(now_ns(CLOCK_THREAD_CPUTIME_ID) - start) / kReadings;
}

// GET of zipf 0.99 over all items, which are all there: alone, and in batches of 16.
void get(benchmark::State& state) {
  Cache cache(items() * (kItemBytes + 4));
  cache.fill(items());
  Chase chase(cache.seg.stats().heap_bytes + cache.seg.stats().index_bytes);
  Keys keys(items());
  Timings miss, alone, batch;
  for (auto _ : state) {
    for (std::size_t turn = 0; turn < turns(); ++turn) {
      miss.measure([&] {
        for (std::size_t i = 0; i < kTurn; ++i) chase.step();
        benchmark::DoNotOptimize(chase.at());
      });
      const std::vector<KeyText>& drawn = keys.draw();
      alone.measure([&] {
        for (const KeyText& key : drawn) cache.get(key.view());
      });
      const std::vector<KeyText>& again = keys.draw();
      batch.measure([&] {
        for (std::size_t i = 0; i < kTurn; i += kBatch) get_batch(cache, std::span(again).subspan(i, kBatch));
      });
    }
  }
  const double two_misses = 2 * miss.median();
  state.counters["two_misses_ns"] = two_misses;
  state.counters["alone_ns"] = alone.median();
  state.counters["batch_ns"] = batch.median();
  state.counters["alone_ratio"] = alone.median() / two_misses;
  state.counters["batch_ratio"] = batch.median() / two_misses;
}
BENCHMARK(get)->Iterations(1)->Unit(benchmark::kMillisecond);

// Every tenth operation is a SET, in a heap that holds 80 % of the items: so segments are evicted all the time. Beside
// it GETs alone on the same cache.
void get_and_set(benchmark::State& state) {
  Cache cache(items() * kItemBytes * 8 / 10);
  cache.fill(items());
  Keys keys(items());
  Timings gets, mixed;
  std::uint64_t get_count = 0;
  const std::uint64_t evicted_before = cache.seg.stats().evicted_items;
  for (auto _ : state) {
    for (std::size_t turn = 0; turn < turns(); ++turn) {
      const std::vector<KeyText>& drawn = keys.draw();
      get_count += kTurn;
      gets.measure([&] {
        for (const KeyText& key : drawn) cache.get(key.view());
      });
      const std::vector<KeyText>& again = keys.draw();
      mixed.measure([&] {
        for (std::size_t i = 0; i < kTurn; ++i) {
          if (i % 10 == 9) {
            cache.set(again[i].view());
          } else {
            cache.get(again[i].view());
            ++get_count;
          }
        }
      });
    }
  }
  state.counters["get_ns"] = gets.median();
  state.counters["mixed_ns"] = mixed.median();
  state.counters["mixed_mean_ns"] = mixed.mean();
  state.counters["mixed_ratio"] = mixed.mean() / gets.mean();
  state.counters["hit_ratio"] = static_cast<double>(cache.hits) / static_cast<double>(get_count);
  state.counters["evicted_items"] = static_cast<double>(cache.seg.stats().evicted_items - evicted_before);
}
BENCHMARK(get_and_set)->Iterations(1)->Unit(benchmark::kMillisecond);

// Stores new items until the index has grown from its smallest size to twice the items, and looks at every single call.
// Two clocks: what passed ("wall"), and what this thread was given of the CPU; the difference is other people's work.
// The second costs a system call, which is in the figures: clock_ns. What interrupts take counts as this thread's all
// the same: "machine" are as many calls of a function that only computes, for comparison.
void growth(benchmark::State& state) {
  const std::uint32_t count = 2 * items();
  Cache cache(std::uint64_t{count} * (kItemBytes + 4), 3);
  Latencies wall, cpu, turn, turn_wall, nothing;
  for (auto _ : state) {
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint64_t cpu_at = now_ns(CLOCK_THREAD_CPUTIME_ID);
      const std::uint64_t wall_at = now_ns(CLOCK_MONOTONIC);
      if (i % kTurn == 0) {
        cache.seg.turn(kNow);
        turn_wall.record(now_ns(CLOCK_MONOTONIC) - wall_at);
        turn.record(now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_at);
      } else {
        cache.set(KeyText(i).view());
        wall.record(now_ns(CLOCK_MONOTONIC) - wall_at);
        cpu.record(now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_at);
      }
    }
  }
  const KeyHash hash(1);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint64_t cpu_at = now_ns(CLOCK_THREAD_CPUTIME_ID);
    benchmark::DoNotOptimize(hash(std::string_view(cache.output).substr(0, 4096)));
    nothing.record(now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_at);
  }
  cpu.tell(state, "cpu");
  nothing.tell(state, "machine");
  turn.tell(state, "turn");
  turn_wall.tell(state, "turn_wall");
  wall.tell(state, "wall");
  state.counters["clock_ns"] = clock_ns();
  state.counters["index_bytes"] = static_cast<double>(cache.seg.stats().index_bytes);
}
BENCHMARK(growth)->Iterations(1)->Unit(benchmark::kMillisecond);

// All items come to their end in the same second: what each turn then takes until all their segments are free, and what
// a GET takes meanwhile.
void expiry(benchmark::State& state) {
  Latencies turn, get;
  std::uint64_t turns_needed = 0;
  for (auto _ : state) {
    Cache cache(items() * (kItemBytes + 4));
    for (std::uint32_t i = 0; i < items(); ++i) {
      const WriteResult result =
          cache.seg.write(KeyText(i).view(), [&](const Item*) { return Verdict::store(cache.value, 0, 100); });
      benchmark::DoNotOptimize(result.cas);
    }
    for (int i = 0; i < 64; ++i) cache.seg.turn(kNow);  // memory for what is next comes first, as in a server
    const std::uint64_t free_before = cache.seg.stats().segments_free;
    Keys keys(items());
    while (cache.seg.stats().items > 0 && turns_needed < items()) {
      std::uint64_t start = now_ns(CLOCK_THREAD_CPUTIME_ID);
      cache.seg.turn({.floor_sec = 101, .ceil_sec = 101, .unix_sec = 0, .mono_ns = 0});
      turn.record(now_ns(CLOCK_THREAD_CPUTIME_ID) - start);
      ++turns_needed;
      for (const KeyText& key : keys.draw()) {
        start = now_ns(CLOCK_THREAD_CPUTIME_ID);
        cache.get(key.view());
        get.record(now_ns(CLOCK_THREAD_CPUTIME_ID) - start);
      }
    }
    state.counters["segments_freed"] = static_cast<double>(cache.seg.stats().segments_free - free_before);
    state.counters["hits"] = static_cast<double>(cache.hits);
  }
  turn.tell(state, "turn");
  get.tell(state, "get");
  state.counters["turns"] = static_cast<double>(turns_needed);
}
BENCHMARK(expiry)->Iterations(1)->Unit(benchmark::kMillisecond);

// --- two threads ----------------------------------------------------------------------------------------------------

constexpr unsigned kThreads = 2;
constexpr std::size_t kRoundTurns = 32;  // a round: turns that threads make without meeting

// One of the threads, and what an operation took it in each round.
struct Worker {
  Worker(std::unique_ptr<SegCache> handle, std::uint64_t seed) : cache(std::move(handle)), keys(items(), seed) {}

  // Every `set_every`th operation is a SET, the others are GETs in batches of 16; 0: no SETs.
  double round(std::size_t set_every) {
    std::uint64_t spent = 0;
    for (std::size_t turn = 0; turn < kRoundTurns; ++turn) {
      const std::vector<KeyText>& drawn = keys.draw();
      const std::uint64_t start = now_ns(CLOCK_THREAD_CPUTIME_ID);
      cache.seg.turn(kNow);
      for (std::size_t i = 0; i < kTurn; i += kBatch) batch(std::span(drawn).subspan(i, kBatch), set_every);
      cache.seg.rest();
      spent += now_ns(CLOCK_THREAD_CPUTIME_ID) - start;
    }
    return static_cast<double>(spent) / (kRoundTurns * kTurn);
  }

  void batch(std::span<const KeyText> drawn, std::size_t set_every) {
    std::array<std::uint64_t, kBatch> hashes;
    for (std::size_t i = 0; i < kBatch; ++i) hashes[i] = cache.seg.prefetch(drawn[i].view());
    for (std::size_t i = 0; i < kBatch; ++i) cache.seg.prefetch_item(hashes[i]);
    for (std::size_t i = 0; i < kBatch; ++i) {
      if (set_every != 0 && ++count % set_every == 0) {
        cache.set({drawn[i].view(), hashes[i]});
      } else {
        cache.get({drawn[i].view(), hashes[i]});
      }
    }
  }

  Cache cache;
  Keys keys;
  std::size_t count = 0;
};

double median_of(std::vector<double>& numbers) {
  std::nth_element(numbers.begin(), numbers.begin() + static_cast<std::ptrdiff_t>(numbers.size() / 2), numbers.end());
  return numbers[numbers.size() / 2];
}

// How much more two threads do than one, on one storage: rounds of one thread and of both take turns. Reckoned from CPU
// time, so that what else runs on the machine counts little; what threads wait for each other asleep is not in it, but
// there is "wall", too. Beside it two threads that share nothing: what the machine allows.
void threads(benchmark::State& state) {
  const auto set_every = static_cast<std::size_t>(state.range(0));
  const std::uint64_t heap_bytes = items() * kItemBytes * (set_every == 0 ? 11 : 8) / 10;
  Cache shared(heap_bytes, 16, kThreads);
  shared.seg.turn(kNow);
  shared.fill(items());
  shared.seg.rest();
  std::unique_ptr<SegCache> second = shared.seg.share();
  std::array<Worker, kThreads> workers{Worker(std::move(shared.owned), 1), Worker(std::move(second), 2)};

  std::vector<double> one, two, wall_one, wall_two;
  const std::size_t rounds = std::max<std::size_t>(5, turns() / kRoundTurns);
  for (auto _ : state) {
    for (std::size_t n = 0; n < rounds; ++n) {
      std::uint64_t start = now_ns(CLOCK_MONOTONIC);
      one.push_back(workers[n % kThreads].round(set_every));
      wall_one.push_back(static_cast<double>(now_ns(CLOCK_MONOTONIC) - start));
      std::array<double, kThreads> ns{};
      start = now_ns(CLOCK_MONOTONIC);
      {
        std::jthread other([&] { ns[1] = workers[1].round(set_every); });
        ns[0] = workers[0].round(set_every);
      }
      wall_two.push_back(static_cast<double>(now_ns(CLOCK_MONOTONIC) - start));
      two.push_back((ns[0] + ns[1]) / 2);
    }
  }
  state.counters["one_ns"] = median_of(one);
  state.counters["two_ns"] = median_of(two);
  state.counters["speedup"] = kThreads * median_of(one) / median_of(two);
  state.counters["wall_speedup"] = kThreads * median_of(wall_one) / median_of(wall_two);
  state.counters["evicted_items"] = static_cast<double>(workers[0].cache.seg.stats().evicted_items);
}
BENCHMARK(threads)->ArgName("set_every")->Arg(0)->Arg(10)->Arg(2)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace pelikan::storage::segcache
