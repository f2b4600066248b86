// What pelikan-replay was asked to do, checked.
// Failure: UsageError, one line, thrown while starting.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace pelikan::tools::replay {

class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct Options {
  std::string trace;                  // a path, or "-"
  std::vector<std::string> settings;  // section.key=value
  std::vector<double> fractions;      // of the footprint: one run each; none: one run as the settings say
  bool fractions_of_memory = false;   // they cover all memory of the storage, not the heap alone
  bool json = false;
};

struct Invocation {
  std::optional<Options> options;  // nothing: print `text` and end with 0
  std::string text;
};

[[nodiscard]] Invocation parse_options(int argc, const char* const* argv);

}  // namespace pelikan::tools::replay
