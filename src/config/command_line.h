// The command line that all servers share:
//
//   BINARY [CONFIG.toml] [--set section.key=value]... [--check] [--print-config] [--list-metrics] [--version] [--help]
//
// The file is applied first, then each --set in its order.
#pragma once

#include <cstdint>
#include <string>

#include "config/config.h"

namespace pelikan::config {

struct Program {
  std::string name;     // "pelikan-pingserver"
  std::string version;  // "0.1.0"
  std::string summary;  // one line
};

enum class Action : std::uint8_t {
  kRun,          // start the server
  kListMetrics,  // print metrics::list() and end: this module knows no metrics
  kPrint,        // print `text` and end with 0: --help, --version, --check, --print-config
};

struct Invocation {
  Action action = Action::kRun;
  std::string text;
};

// Throws Error for bad arguments, a bad file or a bad setting. The caller prints it and exits with kExitBadConfig.
[[nodiscard]] Invocation parse_command_line(int argc, const char* const* argv, const Program& program, Config& config);

}  // namespace pelikan::config
