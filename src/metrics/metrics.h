// Counters, gauges and histograms, declared once beside the code that owns them:
//
//   struct WorkerMetrics : metrics::Group {
//     metrics::Counter event_read{this, "worker_event_read", "read events handled"};
//     metrics::Gauge conn_curr{this, "tcp_conn_curr", "open connections"};
//     metrics::Histogram request_latency{this, "request_latency", "from the last byte received to the reply composed"};
//   };
//
// Declaring registers: /metrics, `stats` and --list-metrics all walk the one process-wide registry, which sums metrics
// of the same name over all groups. When a group goes away its counters and histograms stay in the totals, so that
// these never go back; its gauges leave.
// Owner:   each thread owns its group. Threads: one writer per group (load, add, store: no lock prefix); any may read.
//          The registry's mutex is taken when a metric is made or destroyed and by snapshot(), never by add().
// Failure: one name declared with two kinds, units or help texts, twice in a group, or badly spelt, is a CHECK at
//          construction.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "metrics/histogram.h"

namespace pelikan::metrics {

enum class Kind : std::uint8_t { kCounter, kGauge, kHistogram };
// What a histogram's values are. Nanoseconds are shown to Prometheus as seconds.
enum class Unit : std::uint8_t { kPlain, kNanoseconds };

struct Description {
  std::string name;  // [a-z][a-z0-9_]*
  std::string help;
  Kind kind = Kind::kCounter;
  Unit unit = Unit::kPlain;
  bool operator==(const Description&) const = default;
};

struct Sample {
  Description description;
  std::int64_t value = 0;                      // counters and gauges
  std::shared_ptr<HistogramCounts> histogram;  // histograms: never null
};

// Aligned so that the groups of two threads never share a cache line.
class alignas(64) Group {
 public:
  Group() = default;
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;
};

class Metric {
 public:
  Metric(const Metric&) = delete;
  Metric& operator=(const Metric&) = delete;

  [[nodiscard]] std::string_view name() const noexcept { return name_; }
  [[nodiscard]] Description description() const { return {name_, help_, kind_, unit_}; }
  [[nodiscard]] const Group* group() const noexcept { return group_; }
  // Adds the present value to `sample`.
  virtual void read(Sample& sample) const = 0;

 protected:
  // REQUIRES: `name` and `help` live as long as the metric; they are literals.
  Metric(const Group* group, const char* name, const char* help, Kind kind, Unit unit) noexcept
      : group_(group), name_(name), help_(help), kind_(kind), unit_(unit) {}
  virtual ~Metric() = default;
  // Called by the final classes, so that the registry only ever sees whole objects.
  void enter_registry();
  void leave_registry() noexcept;

 private:
  const Group* group_;
  const char* name_;
  const char* help_;
  Kind kind_;
  Unit unit_;
};

class Counter final : public Metric {
 public:
  Counter(const Group* group, const char* name, const char* help)
      : Metric(group, name, help, Kind::kCounter, Unit::kPlain) {
    enter_registry();
  }
  ~Counter() override { leave_registry(); }

  void add(std::uint64_t n = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }
  void read(Sample& sample) const override { sample.value += static_cast<std::int64_t>(value()); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

class Gauge final : public Metric {
 public:
  Gauge(const Group* group, const char* name, const char* help)
      : Metric(group, name, help, Kind::kGauge, Unit::kPlain) {
    enter_registry();
  }
  ~Gauge() override { leave_registry(); }

  void add(std::int64_t delta) noexcept { set(value() + delta); }
  void set(std::int64_t value) noexcept { value_.store(value, std::memory_order_relaxed); }
  [[nodiscard]] std::int64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }
  void read(Sample& sample) const override { sample.value += value(); }

 private:
  std::atomic<std::int64_t> value_{0};
};

class Histogram final : public Metric {
 public:
  Histogram(const Group* group, const char* name, const char* help, Unit unit = Unit::kNanoseconds)
      : Metric(group, name, help, Kind::kHistogram, unit) {
    enter_registry();
  }
  ~Histogram() override { leave_registry(); }

  void record(std::uint64_t value) noexcept { record(value, 1); }
  // The same value `times` over: for a batch that is measured once.
  void record(std::uint64_t value, std::uint64_t times) noexcept {
    bump(buckets_[bucket_of(value)], times);
    bump(sum_, value * times);
  }
  [[nodiscard]] HistogramCounts counts() const noexcept;
  void read(Sample& sample) const override { *sample.histogram += counts(); }

 private:
  static void bump(std::atomic<std::uint64_t>& number, std::uint64_t n) noexcept {
    number.store(number.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }

  std::array<std::atomic<std::uint64_t>, kBuckets> buckets_{};
  std::atomic<std::uint64_t> sum_{0};
};

// Numbers that are asked for when somebody looks, such as memory in use. `collect` runs under the registry's mutex, on
// the thread that takes the snapshot: it must be quick and must not make or destroy metrics. It stops when the
// Collector is destroyed.
class Collector {
 public:
  struct Value {
    Description description;
    std::int64_t value = 0;
  };
  using Collect = std::function<void(std::vector<Value>& out)>;

  explicit Collector(Collect collect);
  ~Collector();
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  void collect(std::vector<Value>& out) const { collect_(out); }

 private:
  Collect collect_;
};

struct Snapshot {
  std::vector<Sample> samples;  // sorted by name, one per name

  [[nodiscard]] const Sample* find(std::string_view name) const noexcept;
  // The value of a counter or gauge, 0 when there is none of that name.
  [[nodiscard]] std::int64_t value(std::string_view name) const noexcept;
};

// All metrics of the process, summed by name. Any thread.
[[nodiscard]] Snapshot snapshot();

// One line per metric known so far, for --list-metrics: name, kind, help.
[[nodiscard]] std::string list();

}  // namespace pelikan::metrics
