#include "tools/replay/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string_view>

#include "config/value.h"

namespace pelikan::tools::replay {
namespace {

constexpr double kFractionMin = 1e-6;
constexpr double kFractionMax = 1000;
constexpr const char* kAutomatic = "auto";

Format read_format(const std::string& name, const std::string& trace) {
  if (name == kAutomatic) return format_of(trace);
  const auto* found = std::ranges::find(kFormatNames, name);
  if (found == kFormatNames.end()) {
    std::string known = kAutomatic;
    for (const std::string_view each : kFormatNames) known.append(" ").append(each);
    throw UsageError(fmt::format("--format: `{}` is unknown; there are {}", name, known));
  }
  return static_cast<Format>(found - kFormatNames.begin());
}

std::optional<double> read_fraction(const std::string& text) {
  const std::optional<double> fraction = config::Codec<double>::read(text);
  return fraction && *fraction >= kFractionMin && *fraction <= kFractionMax ? fraction : std::nullopt;
}

// "64MB" or "3%".
HeapSize read_heap_size(const std::string& text) {
  if (text.ends_with('%')) {
    const std::optional<double> percent = config::Codec<double>::read(text.substr(0, text.size() - 1));
    if (percent && *percent / 100 >= kFractionMin && *percent / 100 <= kFractionMax)
      return {.fraction = *percent / 100};
  } else if (const auto size = config::Codec<config::Size>::read(text); size && size->bytes > 0) {
    return {.bytes = size->bytes};
  }
  throw UsageError(
      fmt::format("--heap-size: `{}` is neither a size such as 64MB nor a percentage of the footprint such as "
                  "3%, of 0.0001 to 100000",
                  text));
}

HeapSize read_heap_fraction(const std::string& text) {
  const std::optional<double> fraction = read_fraction(text);
  if (!fraction) throw UsageError(fmt::format("--heap-fraction: `{}` is no number from 0.000001 to 1000", text));
  return {.fraction = *fraction};
}

}  // namespace

Invocation parse_options(int argc, const char* const* argv) {
  Options options;
  std::string format = kAutomatic;
  std::vector<std::string> sizes;
  std::vector<std::string> fractions;
  CLI::App app("Replays a request trace into the storage engine; reports miss ratio and speed.", "pelikan-replay");
  app.add_option("TRACE", options.trace, "a file, plain or zstd, or - for standard input")->required();
  app.add_option("--format", format,
                 "twitter (CSV), segcache20 or oracle (binary records); auto goes by the file's name: *.sbin[.zst] is "
                 "segcache20, *.oracleGeneral[.bin][.zst] oracle, all else twitter")
      ->capture_default_str();
  app.add_option("--set", options.settings, "a storage setting such as seg.heap_size=64MB; may be repeated")
      ->allow_extra_args(false);
  app.add_option("--policy", options.policies,
                 "what evicts, instead of seg.eviction; several, with commas, or all: a run each")
      ->allow_extra_args(false)
      ->delimiter(',');
  app.add_option("--heap-size", sizes, "64MB, or 3% of the trace's footprint; several, with commas: a run each")
      ->allow_extra_args(false)
      ->delimiter(',');
  app.add_option("--heap-fraction", fractions, "the same as a part of the footprint: 0.03,0.1")
      ->allow_extra_args(false)
      ->delimiter(',');
  app.add_flag("--whole-memory", options.whole_memory,
               "these sizes are of heap, segment headers, index and ghost table together");
  app.add_option("--threads", options.threads, "threads that replay into one storage, each as many requests")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
  app.add_option("--chart", options.chart, "a file to draw the miss ratios of all runs into, as SVG");
  app.add_flag("--json", options.json, "one line of JSON per run");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return {.options = std::nullopt, .text = app.help()};
  } catch (const CLI::ParseError& error) {
    throw UsageError(error.what());
  }
  options.format = read_format(format, options.trace);
  std::ranges::transform(sizes, std::back_inserter(options.heap_sizes), read_heap_size);
  std::ranges::transform(fractions, std::back_inserter(options.heap_sizes), read_heap_fraction);
  return {.options = options, .text = {}};
}

}  // namespace pelikan::tools::replay
