// Random operations on a cache and on a model of it (model.h), over heaps that are tiny, segments that are few, indexes
// that start with one bucket, and clocks that jump. SEGCACHE_MODEL_OPS sets the operations of a run,
// SEGCACHE_MODEL_SEED repeats one.
#include "storage/segcache/model.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <random>

namespace pelikan::storage::segcache {
namespace {

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

struct Setup {
  const char* eviction;
  std::uint64_t heap_bytes;
  std::uint64_t segment_bytes;
  std::uint32_t keys;
  std::uint32_t value_bytes_max;  // mostly; some are larger
};

void PrintTo(const Setup& setup, std::ostream* out) {
  *out << setup.eviction << '_' << setup.heap_bytes << '_' << setup.segment_bytes;
}

class Model : public testing::TestWithParam<Setup> {
 protected:
  [[nodiscard]] std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }

  // Skewed, of every length from 1 to 250.
  [[nodiscard]] std::string key() {
    const std::uint32_t n = below(below(GetParam().keys) + 1);
    std::string key = "k" + std::to_string(n);
    key.resize(std::max<std::size_t>(key.size(), n % 7 == 0 ? n % 250 + 1 : 1), '.');
    return key;
  }
  [[nodiscard]] std::size_t value_bytes() {
    const std::uint32_t dice = below(200);
    const auto segment_bytes = static_cast<std::uint32_t>(GetParam().segment_bytes);
    if (dice == 0) return below(segment_bytes + 1000);
    if (dice == 1) return below(2) == 0 ? below(4 * segment_bytes) : below(largest_ + 1000);
    if (dice < 10) return 0;
    return below(GetParam().value_bytes_max + 1);
  }
  [[nodiscard]] std::uint32_t ttl_sec() {
    switch (below(8)) {
      case 0: return 1 + below(3);
      case 1: return 1 + below(100);
      case 2: return 1 + below(4000);
      case 3: return 1 + below(86'400);
      case 4: return 1 + below(30 * 86'400);
      case 5: return 1 + below(1U << 28);
      default: return 0;
    }
  }

  void step(ModelRun& run) {
    using When = ModelRun::When;
    const std::uint32_t dice = below(1000);
    const std::uint32_t flags = below(2) == 0 ? 0 : below(1'000'000);
    if (dice < 400) return run.get(key(), true);
    if (dice < 420) return run.get(key(), false);
    if (dice < 720) return run.store(key(), value_bytes(), flags, ttl_sec(), When::kAlways);
    if (dice < 760) return run.store(key(), value_bytes(), flags, ttl_sec(), When::kIfMissing);
    if (dice < 800) return run.store(key(), value_bytes(), flags, ttl_sec(), When::kIfThere);
    if (dice < 830) return run.store(key(), value_bytes(), flags, ttl_sec(), When::kIfUnchanged);
    if (dice < 870) return run.extend(key(), below(50) == 0 ? value_bytes() : below(60), below(2) == 0);
    if (dice < 900) return run.erase(key());
    if (dice < 910) return run.erase_by_verdict(key());
    if (dice < 950) return run.touch(key(), ttl_sec());
    if (dice < 998) return run.advance(below(10) == 0 ? 1 : 0);
    if (dice < 999) return run.visit(below(50));
    switch (below(12)) {
      case 0: return run.flush();
      case 1: return run.advance(below(1U << below(22)));
      case 2: return run.check_all();
      default: return run.advance(1 + below(20));
    }
  }

  std::mt19937_64 random_;
  std::uint32_t largest_ = 0;  // value, that the heap may hold
};

TEST_P(Model, NeverShowsWhatItShouldNot) {
  const std::uint64_t seed = from_environment("SEGCACHE_MODEL_SEED", std::random_device{}());
  const std::uint64_t ops = from_environment("SEGCACHE_MODEL_OPS", 200'000);
  std::printf("SEGCACHE_MODEL_SEED=%llu\n", static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  random_.seed(seed);
  SegOptions options;
  options.heap_size.set(GetParam().heap_bytes);
  options.segment_size.set(GetParam().segment_bytes);
  options.eviction.set(GetParam().eviction);
  options.hash_power.set(3);
  ModelRun run(options, seed);
  largest_ = static_cast<std::uint32_t>(run.cache().stats().value_bytes_max);
  bool large_seen = false;
  for (std::uint64_t op = 0; op < ops; ++op) {
    step(run);
    if (op % (ops / 50 + 1) != 0) continue;
    run.check_all();
    large_seen = large_seen || run.cache().stats().large_items > 0;
  }
  run.check_all();
  const Stats stats = run.cache().stats();
  EXPECT_GT(run.hits(), ops / 10);
  EXPECT_GT(stats.expired_items, 0u);
  EXPECT_EQ(large_seen, largest_ > GetParam().segment_bytes);
  EXPECT_EQ(stats.evicted_items > 0, GetParam().eviction != std::string_view("none"));
  EXPECT_TRUE(run.refused() == 0 || GetParam().eviction == std::string_view("none"));
}

constexpr std::uint64_t kKb = 1024;
INSTANTIATE_TEST_SUITE_P(
    All, Model,
    testing::Values(Setup{"seger", 256 * kKb, 4 * kKb, 4000, 200}, Setup{"seger", 12 * kKb, 4 * kKb, 500, 200},
                    Setup{"seger", 64 * kKb, 16 * kKb, 2000, 300}, Setup{"seger", 1024 * kKb, 8 * kKb, 30'000, 800},
                    Setup{"random", 128 * kKb, 4 * kKb, 4000, 200}, Setup{"random_fifo", 128 * kKb, 4 * kKb, 4000, 200},
                    Setup{"cte", 128 * kKb, 4 * kKb, 4000, 200}, Setup{"util", 128 * kKb, 4 * kKb, 4000, 200},
                    Setup{"cte", 12 * kKb, 4 * kKb, 500, 200}, Setup{"util", 1024 * kKb, 4 * kKb, 8000, 800},
                    Setup{"merge", 256 * kKb, 4 * kKb, 4000, 200}, Setup{"merge", 64 * kKb, 16 * kKb, 2000, 300},
                    Setup{"merge", 1024 * kKb, 8 * kKb, 30'000, 800}, Setup{"fifo", 256 * kKb, 4 * kKb, 4000, 200},
                    Setup{"fifo", 66 * kKb, 20 * kKb, 2000, 300}, Setup{"none", 256 * kKb, 4 * kKb, 4000, 100},
                    Setup{"none", 4096 * kKb, 64 * kKb, 4000, 300}));

}  // namespace
}  // namespace pelikan::storage::segcache
