// Metrics: totals over groups, what stays when a group goes, buckets and percentiles against sorted values.
#include "metrics/metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <thread>

namespace pelikan::metrics {
namespace {

struct OneWorker : Group {
  Counter read{this, "test_read", "reads"};
  Gauge open{this, "test_open", "open things"};
  Histogram latency{this, "test_latency", "how long"};
};

TEST(Metrics, SumsGroupsAndKeepsTotals) {
  const std::int64_t before = snapshot().value("test_read");
  {
    OneWorker a, b;
    a.read.add();
    b.read.add(41);
    a.open.add(3);
    b.open.add(-1);
    a.latency.record(7);
    b.latency.record(9, 2);
    const Snapshot now = snapshot();
    EXPECT_EQ(now.value("test_read"), before + 42);
    EXPECT_EQ(now.value("test_open"), 2);
    EXPECT_EQ(now.find("test_latency")->histogram->count(), 3U);
    EXPECT_EQ(now.find("test_latency")->histogram->sum, 25U);
  }
  const Snapshot after = snapshot();
  EXPECT_EQ(after.value("test_read"), before + 42);
  EXPECT_EQ(after.value("test_open"), 0);
  EXPECT_EQ(after.find("test_latency")->histogram->count(), 3U);
  EXPECT_EQ(after.find("no_such"), nullptr);
  EXPECT_NE(list().find("test_read"), std::string::npos);
}

TEST(Metrics, CollectorsAreAskedWhileTheyLive) {
  {
    const Collector collector([](std::vector<Collector::Value>& out) {
      out.push_back({{"test_asked", "asked for", Kind::kGauge, Unit::kPlain}, 12});
    });
    EXPECT_EQ(snapshot().value("test_asked"), 12);
  }
  EXPECT_EQ(snapshot().find("test_asked"), nullptr);
}

TEST(Metrics, ReadersSeeWholeGroupsWhileTheseComeAndGo) {
  std::atomic<bool> stop{false};
  std::int64_t last = 0;
  std::thread writer([&] {
    for (int i = 0; i < 2000; ++i) {
      OneWorker worker;
      worker.read.add();
      worker.latency.record(static_cast<std::uint64_t>(i));
    }
    stop = true;
  });
  while (!stop) {
    const std::int64_t now = snapshot().value("test_read");
    EXPECT_GE(now, last);
    last = now;
  }
  writer.join();
  EXPECT_GE(snapshot().value("test_read"), last);
}

TEST(MetricsDeathTest, WrongDeclarationsAreRefused) {
  struct OtherKind : Group {
    Gauge read{this, "test_clash", "reads"};
  };
  struct Clash : Group {
    Counter read{this, "test_clash", "reads"};
  };
  struct Twice : Group {
    Counter a{this, "test_twice", "reads"};
    Counter b{this, "test_twice", "reads"};
  };
  struct BadName : Group {
    Counter a{this, "Test-Name", "reads"};
  };
  struct BadEnding : Group {
    Gauge a{this, "test_things_count", "reads"};
  };
  EXPECT_DEATH(
      {
        Clash a;
        OtherKind b;
      },
      "test_clash");
  EXPECT_DEATH(static_cast<void>(Twice{}), "");
  EXPECT_DEATH(static_cast<void>(BadName{}), "Test-Name");
  EXPECT_DEATH(static_cast<void>(BadEnding{}), "test_things_count");
}

TEST(Histogram, BucketsCoverEveryValueOnceAndInOrder) {
  for (std::size_t i = 0; i + 1 < kBuckets; ++i) {
    EXPECT_EQ(bucket_of(bucket_max(i)), i);
    EXPECT_EQ(bucket_of(bucket_max(i) + 1), i + 1);
  }
  EXPECT_EQ(bucket_of(~std::uint64_t{0}), kBuckets - 1);
}

TEST(Histogram, PercentilesAreWithinASixteenth) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  std::vector<std::uint64_t> values;
  HistogramCounts counts;
  for (int i = 0; i < 20000; ++i) {
    values.push_back(random() >> (24 + random() % 40));
    ++counts.buckets[bucket_of(values.back())];
  }
  std::ranges::sort(values);
  for (const double p : {0.0, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const auto rank = static_cast<std::size_t>(std::ceil(p * static_cast<double>(values.size())));
    const std::uint64_t exact = values[rank == 0 ? 0 : rank - 1];
    const std::uint64_t told = counts.percentile(p);
    EXPECT_GE(told, exact);
    EXPECT_LE(static_cast<double>(told), static_cast<double>(exact) * 1.0625);
  }
  EXPECT_EQ(HistogramCounts{}.percentile(0.5), 0U);
}

}  // namespace
}  // namespace pelikan::metrics
