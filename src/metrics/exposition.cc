#include "metrics/exposition.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <variant>

namespace pelikan::metrics {
namespace {

struct Percentile {
  const char* name;
  double fraction;
};
constexpr std::array kPercentiles{Percentile{"p25", 0.25},    Percentile{"p50", 0.50}, Percentile{"p75", 0.75},
                                  Percentile{"p90", 0.90},    Percentile{"p99", 0.99}, Percentile{"p999", 0.999},
                                  Percentile{"p9999", 0.9999}};

// Prometheus buckets end where a power of two ends: 1 us to 68 s for times, everything for plain numbers.
constexpr unsigned kFirstTimeBit = 10;
constexpr unsigned kLastTimeBit = 36;

std::string family_name(const Description& description) {
  if (description.kind == Kind::kCounter && !description.name.ends_with("_total")) return description.name + "_total";
  if (description.unit == Unit::kNanoseconds) return description.name + "_seconds";
  return description.name;
}

std::string escaped_help(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') out += '\\';
    out += c == '\n' || c == '\r' ? ' ' : c;
  }
  return out;
}

std::string escaped_label(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out;
}

std::string heading(const std::string& family, std::string_view help, std::string_view type) {
  return fmt::format("# HELP {} {}\n# TYPE {} {}\n", family, escaped_help(help), family, type);
}

std::string number(std::uint64_t value, Unit unit) {
  return unit == Unit::kNanoseconds ? fmt::format("{}", static_cast<double>(value) / 1e9) : fmt::format("{}", value);
}

void append_histogram(std::string& out, const std::string& family, const Sample& sample) {
  const HistogramCounts& counts = *sample.histogram;
  const Unit unit = sample.description.unit;
  const unsigned first = unit == Unit::kNanoseconds ? kFirstTimeBit : 0;
  const unsigned last = unit == Unit::kNanoseconds ? kLastTimeBit : kMaxValueBits;
  std::uint64_t seen = 0;
  std::size_t next = 0;
  for (unsigned bit = first; bit <= last; ++bit) {
    const std::uint64_t upper = (std::uint64_t{1} << bit) - 1;
    for (; next < kBuckets && bucket_max(next) <= upper; ++next) seen += counts.buckets[next];
    out += fmt::format("{}_bucket{{le=\"{}\"}} {}\n", family, number(upper, unit), seen);
  }
  const std::uint64_t total = counts.count();
  out += fmt::format("{}_bucket{{le=\"+Inf\"}} {}\n{}_sum {}\n{}_count {}\n", family, total, family,
                     number(counts.sum, unit), family, total);
}

using Shown = std::map<std::string, std::variant<std::int64_t, std::string>>;

Shown flatten(const Snapshot& snapshot, const Window& window, const std::vector<Fact>& facts, char separator) {
  Shown shown;
  for (const Sample& sample : snapshot.samples) {
    const std::string& name = sample.description.name;
    if (!sample.histogram) {
      shown.emplace(name, sample.value);
      continue;
    }
    const HistogramCounts recent = window.recent(sample);
    for (const Percentile& p : kPercentiles) {
      shown.emplace(name + separator + p.name, static_cast<std::int64_t>(recent.percentile(p.fraction)));
    }
  }
  for (const Fact& fact : facts) shown.emplace(fact.name, fact.value);
  return shown;
}

std::string one_line(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  return text;
}

}  // namespace

void Window::advance(const Snapshot& now) {
  Slice slice;
  for (const Sample& sample : now.samples) {
    if (sample.histogram) slice.emplace(sample.description.name, sample.histogram);
  }
  past_.push_back(std::move(slice));
  if (past_.size() > slices_) past_.pop_front();
}

HistogramCounts Window::recent(const Sample& sample) const {
  if (past_.empty()) return *sample.histogram;
  const auto begin = past_.front().find(sample.description.name);
  return begin == past_.front().end() ? *sample.histogram : sample.histogram->since(*begin->second);
}

std::string prometheus_text(const Snapshot& snapshot, const std::vector<Fact>& facts) {
  std::string out;
  if (!facts.empty()) {
    std::string labels;
    for (const Fact& fact : facts) {
      labels += fmt::format("{}{}=\"{}\"", labels.empty() ? "" : ",", fact.name, escaped_label(fact.value));
    }
    out += heading("pelikan_info", "what this server is, as labels", "gauge");
    out += fmt::format("pelikan_info{{{}}} 1\n", labels);
  }
  for (const Sample& sample : snapshot.samples) {
    const Description& description = sample.description;
    const std::string family = family_name(description);
    switch (description.kind) {
      case Kind::kCounter:
        out += heading(family, description.help, "counter");
        out += fmt::format("{} {}\n", family, static_cast<std::uint64_t>(sample.value));
        break;
      case Kind::kGauge:
        out += heading(family, description.help, "gauge");
        out += fmt::format("{} {}\n", family, sample.value);
        break;
      case Kind::kHistogram:
        out += heading(family, description.help, "histogram");
        append_histogram(out, family, sample);
        break;
    }
  }
  return out;
}

std::string vars_json(const Snapshot& snapshot, const Window& window, const std::vector<Fact>& facts) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const auto& [name, value] : flatten(snapshot, window, facts, '/')) {
    std::visit([&](const auto& v) { json[name] = v; }, value);
  }
  return json.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string stat_lines(const Snapshot& snapshot, const Window& window, const std::vector<Fact>& facts) {
  std::string out;
  for (const auto& [name, value] : flatten(snapshot, window, facts, '_')) {
    if (const auto* n = std::get_if<std::int64_t>(&value)) out += fmt::format("STAT {} {}\r\n", name, *n);
    if (const auto* text = std::get_if<std::string>(&value))
      out += fmt::format("STAT {} {}\r\n", name, one_line(*text));
  }
  return out;
}

}  // namespace pelikan::metrics
