// How often each number is drawn, against the probabilities it should have; and the bytes that keys and values get.
#include "tools/bench/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tools/bench/workload.h"

namespace pelikan::tools::bench {
namespace {

constexpr int kDraws = 200'000;

TEST(Zipf, Frequencies) {
  for (const double exponent : {0.5, 0.99, 1.0, 1.3, 3.0}) {
    for (const std::uint32_t count : {1u, 2u, 10u, 1000u}) {
      SCOPED_TRACE("exponent " + std::to_string(exponent) + ", count " + std::to_string(count));
      Random random(42);
      const Zipf zipf(count, exponent);
      std::vector<int> drawn(count);
      for (int i = 0; i < kDraws; ++i) ++drawn.at(zipf.draw(random));
      double total = 0;
      for (std::uint32_t k = 1; k <= count; ++k) total += std::pow(k, -exponent);
      for (std::uint32_t k = 1; k <= std::min(count, 10u); ++k) {
        const double expected = kDraws * std::pow(k, -exponent) / total;
        EXPECT_NEAR(drawn[k - 1], expected, 6 * std::sqrt(expected) + 1) << "number " << k - 1;
      }
    }
  }
}

TEST(Zipf, LargeCountsStayInside) {
  Random random(7);
  const Zipf zipf(4'000'000'000, 0.99);
  for (int i = 0; i < kDraws; ++i) ASSERT_LT(zipf.draw(random), 4'000'000'000);
}

TEST(Random, BelowIsEven) {
  Random random(3);
  std::vector<int> drawn(10);
  for (int i = 0; i < kDraws; ++i) ++drawn.at(random.below(10));
  for (const int n : drawn) EXPECT_NEAR(n, kDraws / 10.0, 800);
}

TEST(Workload, KeysAndValues) {
  Options options;
  options.keys = 100'000;
  options.key_bytes = 8;
  options.value_bytes = 24;
  const Workload workload(options, 1);
  std::set<std::string_view> values;
  for (std::uint32_t key = 0; key < 65'536; ++key) {
    ASSERT_EQ(workload.value(key).size(), 24u);
    values.insert(workload.value(key));
  }
  EXPECT_EQ(values.size(), 65'536u);
  for (std::uint32_t key = 0; key < 100'000'000; key += 1 + key / 1000) {
    std::string text(8, '0');
    workload.write_key(key, text.data());
    EXPECT_EQ(std::stoul(text), key);
  }
}

TEST(Workload, RatioAndFill) {
  Options options;
  options.keys = 10;
  options.ratio = {60, 30, 10};
  Workload workload(options, 1);
  workload.fill(3, 10);
  for (std::uint32_t key = 3; workload.remaining() > 0; ++key) {
    const Request request = workload.next();
    EXPECT_EQ(request.action, Action::kSet);
    EXPECT_EQ(request.key, key);
    EXPECT_LT(key, 10u);
  }
  workload.mix();
  std::map<Action, int> actions;
  for (int i = 0; i < kDraws; ++i) ++actions[workload.next().action];
  EXPECT_NEAR(actions[Action::kGet], 0.6 * kDraws, 1500);
  EXPECT_NEAR(actions[Action::kSet], 0.3 * kDraws, 1500);
  EXPECT_NEAR(actions[Action::kDelete], 0.1 * kDraws, 1500);
}

}  // namespace
}  // namespace pelikan::tools::bench
