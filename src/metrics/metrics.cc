#include "metrics/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "base/check.h"

namespace pelikan::metrics {
namespace {

bool well_spelt(std::string_view name) {
  const auto lower = [](char c) { return c >= 'a' && c <= 'z'; };
  return !name.empty() && lower(name.front()) &&
         std::ranges::all_of(name, [&](char c) { return lower(c) || c == '_' || (c >= '0' && c <= '9'); });
}

// Prometheus keeps these endings for itself.
bool ending_allowed(const Description& description) {
  const std::string_view name = description.name;
  if (description.kind == Kind::kCounter) return true;
  return !name.ends_with("_total") && !name.ends_with("_count") && !name.ends_with("_sum") &&
         !name.ends_with("_bucket");
}

Sample empty_sample(const Description& description) {
  return {
      description, 0,
      description.kind == Kind::kHistogram ? std::make_shared<HistogramCounts>() : std::shared_ptr<HistogramCounts>{}};
}

// By group, then by name. With a group per worker there are tens of thousands.
struct InGroup {
  bool operator()(const Metric* a, const Metric* b) const noexcept {
    return std::pair(a->group(), a->name()) < std::pair(b->group(), b->name());
  }
};

class Registry {
 public:
  void enter(const Metric* metric) {
    const std::lock_guard lock(mutex_);
    declare(metric->description());
    CHECK(metrics_.insert(metric).second && "a name is there once in each group");
  }

  void leave(const Metric* metric) {
    const std::lock_guard lock(mutex_);
    metrics_.erase(metric);
    if (Sample& total = totals_.find(metric->name())->second; total.description.kind != Kind::kGauge)
      metric->read(total);
  }

  void enter(const Collector* collector) {
    const std::lock_guard lock(mutex_);
    collectors_.push_back(collector);
  }

  void leave(const Collector* collector) {
    const std::lock_guard lock(mutex_);
    std::erase(collectors_, collector);
  }

  Snapshot snapshot() {
    const std::lock_guard lock(mutex_);
    std::map<std::string, Sample, std::less<>> samples;
    for (const auto& [name, total] : totals_) {
      Sample& sample = samples.emplace(name, total).first->second;
      if (total.histogram) sample.histogram = std::make_shared<HistogramCounts>(*total.histogram);
    }
    for (const Metric* metric : metrics_) metric->read(samples.find(metric->name())->second);
    std::vector<Collector::Value> values;
    for (const Collector* collector : collectors_) collector->collect(values);
    for (const Collector::Value& value : values) {
      samples.try_emplace(value.description.name, empty_sample(value.description)).first->second.value += value.value;
    }
    Snapshot result;
    result.samples.reserve(samples.size());
    for (auto& [name, sample] : samples) result.samples.push_back(std::move(sample));
    return result;
  }

 private:
  void declare(const Description& description) {
    const auto [place, added] = totals_.try_emplace(description.name, empty_sample(description));
    if (!well_spelt(description.name) || description.help.empty() || !ending_allowed(description) ||
        place->second.description != description) {
      std::fprintf(stderr, "metric '%s': badly spelt, without help, or declared before in another way\n",
                   description.name.c_str());
      CHECK(false && "a metric is declared wrongly");
    }
  }

  std::mutex mutex_;                          // guards all below
  std::set<const Metric*, InGroup> metrics_;  // those alive
  std::vector<const Collector*> collectors_;  // those alive
  std::map<std::string, Sample, std::less<>>
      totals_;  // every name ever declared, with what destroyed metrics leave behind
};

// Never destroyed: groups with static lifetime may outlive any order of destruction.
Registry& registry() {
  static Registry* const instance = new Registry;
  return *instance;
}

constexpr std::string_view kind_name(Kind kind) {
  switch (kind) {
    case Kind::kCounter: return "counter";
    case Kind::kGauge: return "gauge";
    case Kind::kHistogram: return "histogram";
  }
  return "";
}

}  // namespace

void Metric::enter_registry() { registry().enter(this); }
void Metric::leave_registry() noexcept { registry().leave(this); }

HistogramCounts Histogram::counts() const noexcept {
  HistogramCounts result;
  for (std::size_t i = 0; i < kBuckets; ++i) result.buckets[i] = buckets_[i].load(std::memory_order_relaxed);
  result.sum = sum_.load(std::memory_order_relaxed);
  return result;
}

Collector::Collector(Collect collect) : collect_(std::move(collect)) { registry().enter(this); }
Collector::~Collector() { registry().leave(this); }

const Sample* Snapshot::find(std::string_view name) const noexcept {
  const auto place = std::ranges::lower_bound(samples, name, {},
                                              [](const Sample& s) -> std::string_view { return s.description.name; });
  return place != samples.end() && place->description.name == name ? &*place : nullptr;
}

std::int64_t Snapshot::value(std::string_view name) const noexcept {
  const Sample* sample = find(name);
  return sample ? sample->value : 0;
}

Snapshot snapshot() { return registry().snapshot(); }

std::string list() {
  std::string out;
  for (const Sample& sample : snapshot().samples) {
    const auto& [name, help, kind, unit] = sample.description;
    out += fmt::format("{:<32} {:<10} {}{}\n", name, kind_name(kind), help, unit == Unit::kNanoseconds ? " (ns)" : "");
  }
  return out;
}

}  // namespace pelikan::metrics
