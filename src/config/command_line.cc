#include "config/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

namespace pelikan::config {
namespace {

struct Arguments {
  std::string file;
  std::vector<std::string> assignments;
  bool check = false;
  bool print_config = false;
  bool list_metrics = false;
  bool version = false;
  bool help = false;
};

void declare(CLI::App& app, Arguments& arguments) {
  app.set_help_flag();
  app.add_option("config", arguments.file, "TOML file with settings; without one the defaults hold");
  app.add_option("--set", arguments.assignments, "section.key=value, after the file; may be repeated")
      ->allow_extra_args(false);
  app.add_flag("--check", arguments.check, "read all settings, say whether they are good, end");
  app.add_flag("--print-config", arguments.print_config, "print all settings as TOML, end");
  app.add_flag("--list-metrics", arguments.list_metrics, "print the name and meaning of every metric, end");
  app.add_flag("--version", arguments.version, "print the version, end");
  app.add_flag("-h,--help", arguments.help, "print this, end");
}

std::string checked(const Config& config) {
  std::string text;
  for (const std::string& warning : config.warnings()) text += fmt::format("warning: {}\n", warning);
  return text + "the settings are good\n";
}

}  // namespace

Invocation parse_command_line(int argc, const char* const* argv, const Program& program, Config& config) {
  CLI::App app(program.summary, program.name);
  Arguments arguments;
  declare(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    throw Error(fmt::format("{}: {} (see --help)", program.name, one_line(error.what())));
  }
  if (arguments.help)
    return {Action::kPrint, app.help() + "\nSettings (for the file and for --set):\n" + config.help()};
  if (arguments.version) return {Action::kPrint, fmt::format("{} {}\n", program.name, program.version)};
  if (!arguments.file.empty()) config.load_file(arguments.file);
  for (const std::string& assignment : arguments.assignments) config.set(assignment);
  config.check();
  if (arguments.check) return {Action::kPrint, checked(config)};
  if (arguments.print_config) return {Action::kPrint, config.print()};
  return {arguments.list_metrics ? Action::kListMetrics : Action::kRun, ""};
}

}  // namespace pelikan::config
