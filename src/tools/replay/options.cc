#include "tools/replay/options.h"

#include <CLI/CLI.hpp>
#include <cstdint>

namespace pelikan::tools::replay {

Invocation parse_options(int argc, const char* const* argv) {
  constexpr double kFractionMin = 1e-6;
  constexpr double kFractionMax = 1000;
  Options options;
  std::string format = "twitter";
  std::uint32_t threads = 1;
  CLI::App app("Replays a request trace into the storage engine; reports miss ratio and speed.", "pelikan-replay");
  app.add_option("TRACE", options.trace, "a file, plain or zstd, or - for standard input")->required();
  app.add_option("--format", format, "twitter: timestamp,key,key_size,value_size,client_id,op,ttl")
      ->capture_default_str();
  app.add_option("--set", options.settings, "a storage setting such as seg.heap_size=64MB; may be repeated")
      ->allow_extra_args(false);
  auto* const heap = app.add_option("--heap-fraction", options.fractions,
                                    "heap as a part of the trace's footprint; several, with commas: one run each")
                         ->delimiter(',')
                         ->check(CLI::Range(kFractionMin, kFractionMax));
  std::vector<double> memory_fractions;
  app.add_option("--memory-fraction", memory_fractions, "the same for heap, index and everything else together")
      ->delimiter(',')
      ->check(CLI::Range(kFractionMin, kFractionMax))
      ->excludes(heap);
  app.add_option("--threads", threads, "threads that replay; only 1 is supported yet")->capture_default_str();
  app.add_flag("--json", options.json, "one line of JSON per run");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return {.options = std::nullopt, .text = app.help()};
  } catch (const CLI::ParseError& error) {
    throw UsageError(error.what());
  }
  if (format == "segcache20" || format == "oracle") {
    throw UsageError("--format: `" + format + "` is not supported yet; there is twitter");
  }
  if (format != "twitter") throw UsageError("--format: `" + format + "` is unknown; there is twitter");
  options.fractions_of_memory = !memory_fractions.empty();
  if (options.fractions_of_memory) options.fractions = memory_fractions;
  if (threads != 1) throw UsageError("--threads: only 1 is supported yet");
  return {.options = options, .text = {}};
}

}  // namespace pelikan::tools::replay
