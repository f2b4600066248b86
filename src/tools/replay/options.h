// What pelikan-replay was asked to do, checked.
// Failure: UsageError, one line, thrown while starting.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "tools/replay/formats.h"

namespace pelikan::tools::replay {

class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Bytes, or a part of the trace's footprint.
struct HeapSize {
  std::uint64_t bytes = 0;
  double fraction = 0;  // 0: it is bytes

  [[nodiscard]] std::uint64_t of(std::uint64_t footprint_bytes) const noexcept {
    return fraction > 0 ? static_cast<std::uint64_t>(fraction * static_cast<double>(footprint_bytes)) : bytes;
  }
};

// There is a run for each policy and heap size.
struct Options {
  std::string trace;  // a path, or "-"
  Format format = Format::kTwitter;
  std::vector<std::string> settings;  // section.key=value
  std::vector<std::string> policies;  // not checked yet; none: as the settings say
  std::vector<HeapSize> heap_sizes;   // in the order given; none: as the settings say
  bool whole_memory = false;          // they cover all memory of the storage, not the heap alone
  std::string chart;                  // where to draw the miss ratios; "": nowhere
  unsigned threads = 1;
  bool json = false;
};

inline constexpr const char* kAllPolicies = "all";

struct Invocation {
  std::optional<Options> options;  // nothing: print `text` and end with 0
  std::string text;
};

[[nodiscard]] Invocation parse_options(int argc, const char* const* argv);

}  // namespace pelikan::tools::replay
