// The storage alone: GET and SET of small items, without protocol or network. SEGCACHE_BENCH_ITEMS sets how many items
// there are: the default stays in the CPU's caches; a few million show what memory costs.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "storage/segcache/segcache.h"

namespace pelikan::storage::segcache {
namespace {

struct Fixture {
  static std::size_t items() {
    const char* text = std::getenv("SEGCACHE_BENCH_ITEMS");
    return text == nullptr ? 20'000 : std::strtoull(text, nullptr, 10);
  }
  static SegOptions& options(SegOptions& options, std::size_t bytes_per_item) {
    options.heap_size.set(std::max<std::uint64_t>(items() * bytes_per_item, config::kMiB));
    return options;
  }

  explicit Fixture(std::size_t heap_bytes_per_item)
      : cache(options(seg_options, heap_bytes_per_item), KeyHash(1),
              {.floor_sec = 2, .ceil_sec = 2, .unix_sec = 0, .mono_ns = 0}) {
    std::mt19937 random(1);
    for (std::size_t i = 0; i < items(); ++i) {
      keys.push_back("key:" + std::to_string(i * 7919));
      set(keys.back());
    }
    for (int i = 0; i < 1 << 16; ++i) order.push_back(random() % items());
  }
  void set(const std::string& key) {
    const WriteResult result = cache.write(key, [this](const Item*) { return Verdict::store(value, 0, 0); });
    benchmark::DoNotOptimize(result.cas);
  }
  const std::string& next() { return keys[order[at++ & 0xFFFF]]; }

  SegOptions seg_options;
  SegCache cache;
  std::string value = std::string(100, 'v');
  std::vector<std::string> keys;
  std::vector<std::size_t> order;
  std::size_t at = 0;
};

void get_hit(benchmark::State& state) {
  Fixture fixture(400);
  for (auto _ : state) {
    const std::optional<Item> item = fixture.cache.get(fixture.next());
    benchmark::DoNotOptimize(item.has_value());
  }
}
BENCHMARK(get_hit);

void get_miss(benchmark::State& state) {
  Fixture fixture(400);
  const std::vector<std::string> absent = {"no", "such", "key", "here", "at", "all"};
  std::size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(fixture.cache.get(absent[i++ % absent.size()]).has_value());
}
BENCHMARK(get_miss);

void set_overwrite(benchmark::State& state) {
  Fixture fixture(400);
  for (auto _ : state) fixture.set(fixture.next());
}
BENCHMARK(set_overwrite);

// A heap that holds a third of the keys: most stores push others out.
void set_evicting(benchmark::State& state) {
  Fixture fixture(45);
  for (auto _ : state) fixture.set(fixture.next());
}
BENCHMARK(set_evicting);

}  // namespace
}  // namespace pelikan::storage::segcache
