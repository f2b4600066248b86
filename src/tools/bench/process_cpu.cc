#include "tools/bench/process_cpu.h"

#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>

#include "base/bytes.h"

namespace pelikan::tools::bench {

std::optional<unsigned long long> cpu_ticks(std::string_view stat) {
  constexpr int kFieldsBeforeUserTime = 11;  // counted after the name
  // The second field is the program's name in brackets; it may hold blanks and brackets itself.
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string_view::npos) return std::nullopt;
  stat.remove_prefix(name_end + 1);
  const auto next_field = [&stat] {
    const std::size_t begin = stat.find_first_not_of(' ');
    stat.remove_prefix(begin == std::string_view::npos ? stat.size() : begin);
    const std::string_view field = stat.substr(0, stat.find(' '));
    stat.remove_prefix(field.size());
    return field;
  };
  for (int i = 0; i < kFieldsBeforeUserTime; ++i) next_field();
  const auto user = parse_decimal<unsigned long long>(next_field());
  const auto system = parse_decimal<unsigned long long>(next_field());
  if (!user || !system) return std::nullopt;
  return *user + *system;
}

std::optional<double> process_cpu_seconds(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto ticks = cpu_ticks(text);
  if (!ticks) return std::nullopt;
  return static_cast<double>(*ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

}  // namespace pelikan::tools::bench
