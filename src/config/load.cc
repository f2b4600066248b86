// TOML files into options: the only place that knows toml++.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <toml++/toml.h>
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "config/config.h"

namespace pelikan::config {
namespace {

Value convert(const toml::node& node) {
  if (const auto* flag = node.as_boolean()) return flag->get();
  if (const auto* number = node.as_integer()) return number->get();
  if (const auto* number = node.as_floating_point()) return number->get();
  if (const auto* text = node.as_string()) return text->get();
  const toml::array* array = node.as_array();
  if (!array) return Unreadable{};
  List list;
  for (const toml::node& item : *array) {
    const auto* text = item.as_string();
    if (!text) return Unreadable{};
    list.push_back(text->get());
  }
  return list;
}

// One thing to do, so that the lines of a file can be applied in their order (toml++ keeps keys sorted).
struct Line {
  std::uint32_t number;
  std::string section;
  std::string key;
  const toml::node* node;  // null: an empty section, only its heading
};

void gather(const toml::table& table, const std::string& section, std::vector<Line>& lines) {
  for (const auto& [key, node] : table) {
    const toml::table* inner = node.as_table();
    if (inner && section.empty() && !inner->is_inline()) {
      if (inner->empty()) lines.push_back({key.source().begin.line, std::string(key.str()), "", nullptr});
      gather(*inner, std::string(key.str()), lines);
    } else {
      lines.push_back({key.source().begin.line, section, std::string(key.str()), &node});
    }
  }
}

std::string read_bounded(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw Error(fmt::format("{}: {}", one_line(path), std::strerror(errno)));
  std::string text(kMaxFileBytes + 1, '\0');
  std::size_t size = 0;
  ssize_t got = 0;
  while (size < text.size() && (got = ::read(fd, text.data() + size, text.size() - size)) > 0) {
    size += static_cast<std::size_t>(got);
  }
  const int error = got < 0 ? errno : 0;
  ::close(fd);
  if (error != 0) throw Error(fmt::format("{}: {}", one_line(path), std::strerror(error)));
  text.resize(size);
  return text;
}

}  // namespace

void Config::load_file(const std::string& path) {
  load_text(read_bounded(path), path);
  files_.push_back(path);
}

void Config::load_text(std::string_view toml, const std::string& file_name) {
  const std::string file = one_line(file_name);
  if (toml.size() > kMaxFileBytes) throw Error(fmt::format("{}: larger than {} bytes", file, kMaxFileBytes));
  toml::table table;
  try {
    table = toml::parse(toml);
  } catch (const toml::parse_error& error) {
    throw Error(
        fmt::format("{}:{}: not valid TOML: {}", file, error.source().begin.line, one_line(error.description())));
  }
  std::vector<Line> lines;
  gather(table, "", lines);
  std::ranges::stable_sort(lines, {}, &Line::number);
  for (const Line& line : lines) {
    const std::string where = fmt::format("{}:{}", file, line.number);
    if (line.node) {
      assign(line.section, line.key, convert(*line.node), where);
    } else {
      require_section(line.section, "", where);
    }
  }
}

}  // namespace pelikan::config
