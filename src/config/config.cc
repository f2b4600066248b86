#include "config/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "config/nearest.h"

namespace pelikan::config {
namespace {

std::string full_name(std::string_view section, std::string_view key) {
  return section.empty() ? std::string(key) : fmt::format("{}.{}", section, key);
}

std::string shown(const Value& value) {
  struct Show {
    std::string operator()(Unreadable) const { return "this"; }
    std::string operator()(bool flag) const { return flag ? "true" : "false"; }
    std::string operator()(std::int64_t number) const { return fmt::format("{}", number); }
    std::string operator()(double number) const { return fmt::format("{}", number); }
    std::string operator()(const std::string& text) const { return '"' + one_line(text) + '"'; }
    std::string operator()(const List&) const { return "a list"; }
  };
  return std::visit(Show{}, value);
}

}  // namespace

template <class T>
std::string Option<T>::allowed() const {
  if (!words_.empty()) {
    std::string out = "one of";
    for (const std::string& word : words_) out += ' ' + word;
    return out;
  }
  if (!min_) return Codec<T>::type_name();
  return fmt::format("{}, from {} to {}", Codec<T>::type_name(), Codec<T>::print(*min_), Codec<T>::print(*max_));
}

template class Option<bool>;
template class Option<std::uint64_t>;
template class Option<std::int64_t>;
template class Option<double>;
template class Option<std::string>;
template class Option<Size>;
template class Option<Duration>;
template class Option<ShortDuration>;
template class Option<List>;

void Config::add(Section& section) {
  for (const Entry* entry : section.entries()) {
    CHECK(find(section.name(), entry->name()) == nullptr);
    CHECK(std::ranges::count(section.entries(), entry->name(), &Entry::name) == 1);
  }
  sections_.push_back(&section);
}

Entry* Config::find(std::string_view section, std::string_view key) const {
  for (const Section* candidate : sections_) {
    if (candidate->name() != section) continue;
    const auto place = std::ranges::find(candidate->entries(), key, &Entry::name);
    if (place != candidate->entries().end()) return *place;
  }
  return nullptr;
}

void Config::check() const {
  for (const Section* section : sections_) section->check();
}

const Ignored* Config::find_ignored(std::string_view section, std::string_view key) const {
  // A section that somebody declares options in is not ignored as a whole: its unknown keys are errors.
  const bool has_options = std::ranges::any_of(
      sections_, [&](const Section* each) { return each->name() == section && !each->entries().empty(); });
  for (const Section* candidate : sections_) {
    if (candidate->name() != section) continue;
    const auto place = std::ranges::find_if(candidate->ignored(), [&](const Ignored* ignored) {
      return ignored->name() == key || (ignored->name() == Ignored::kAnyKey && !has_options);
    });
    if (place != candidate->ignored().end()) return *place;
  }
  return nullptr;
}

std::vector<std::string_view> Config::section_names() const {
  std::vector<std::string_view> names;
  for (const Section* section : sections_) {
    if (std::ranges::find(names, section->name()) == names.end()) names.push_back(section->name());
  }
  std::ranges::stable_partition(names, [](std::string_view name) { return name.empty(); });  // as TOML wants it
  return names;
}

// The same key in another section is as near as one letter.
std::string Config::nearest(std::string_view section, std::string_view key) const {
  const std::string wanted = lower(full_name(section, key));
  std::string best;
  std::size_t best_distance = std::numeric_limits<std::size_t>::max();
  for (const Section* candidate : sections_) {
    for (const Entry* entry : candidate->entries()) {
      const std::string name = full_name(candidate->name(), entry->name());
      const std::size_t distance =
          std::min(edit_distance(wanted, name), 1 + 2 * edit_distance(lower(key), entry->name()));
      if (distance >= best_distance) continue;
      best = name;
      best_distance = distance;
    }
  }
  return best;
}

void Config::assign(std::string_view section, std::string_view key, const Value& value, const std::string& where) {
  const std::string name = one_line(full_name(section, key));
  if (Entry* entry = find(section, key)) {
    if (!(only_reads_ ? entry->accepts(value) : entry->assign(value))) {
      throw Error(fmt::format("{}: {} cannot be {}; allowed: {}", where, name, shown(value), entry->allowed()));
    }
    given_[full_name(section, key)] = value;
    return;
  }
  if (const Ignored* ignored = find_ignored(section, key)) {
    warnings_.push_back(fmt::format("{}: {} is ignored: {}", where, name, ignored->why()));
    return;
  }
  require_section(section, key, where);
  const std::string near = nearest(section, key);
  throw Error(fmt::format("{}: {}: unknown key{}", where, name, near.empty() ? "" : "; did you mean " + near + "?"));
}

void Config::require_section(std::string_view section, std::string_view key, const std::string& where) const {
  std::vector<std::string_view> names = section_names();
  std::erase(names, "");
  if (section.empty() || std::ranges::find(names, section) != names.end()) return;
  std::string known;
  for (const std::string_view name : names) known += fmt::format("{}{}", known.empty() ? "" : " ", name);
  const auto near =
      std::ranges::min_element(names, {}, [&](std::string_view name) { return edit_distance(section, name); });
  std::string hint = key.empty() ? (near == names.end() ? "" : fmt::format("[{}]", *near)) : nearest(section, key);
  if (!hint.empty()) hint = fmt::format("; did you mean {}?", hint);
  throw Error(fmt::format("{}: unknown section [{}]{} (sections: {})", where, one_line(section), hint, known));
}

void Config::set(std::string_view assignment) {
  const std::string where = "--set";
  const std::size_t equals = assignment.find('=');
  if (equals == std::string_view::npos || equals == 0) {
    throw Error(fmt::format("--set: '{}' is not of the form section.key=value", one_line(assignment)));
  }
  if (assignment.size() > kMaxFileBytes || !valid_utf8(assignment)) {
    throw Error(fmt::format("--set: the value of {} is too long or not UTF-8", one_line(assignment.substr(0, equals))));
  }
  const std::string_view name = assignment.substr(0, equals);
  const std::size_t dot = name.find('.');
  const std::string_view section = dot == std::string_view::npos ? std::string_view() : name.substr(0, dot);
  const std::string_view key = dot == std::string_view::npos ? name : name.substr(dot + 1);
  assign(section, key, std::string(assignment.substr(equals + 1)), where);
  assignments_.emplace_back(assignment);
}

Given Config::reread() const {
  Config reader;
  reader.sections_ = sections_;
  reader.only_reads_ = true;
  for (const std::string& file : files_) reader.load_file(file);
  for (const std::string& assignment : assignments_) reader.set(assignment);
  return std::move(reader.given_);
}

std::vector<std::string> changed(const Given& before, const Given& after) {
  std::vector<std::string> names;
  for (const auto& [name, value] : before) {
    const auto now = after.find(name);
    if (now == after.end() || now->second != value) names.push_back(name);
  }
  for (const auto& [name, value] : after) {
    if (!before.contains(name)) names.push_back(name);
  }
  return names;
}

std::string Config::print() const {
  std::string out;
  for (const std::string_view name : section_names()) {
    std::string body;
    for (const Section* section : sections_) {
      if (section->name() != name) continue;
      for (const Entry* entry : section->entries()) {
        body += fmt::format("# {} ({})\n{} = {}\n", entry->help(), entry->allowed(), entry->name(), entry->print());
      }
    }
    if (body.empty()) continue;
    if (!out.empty()) out += '\n';
    if (!name.empty()) out += fmt::format("[{}]\n", name);
    out += body;
  }
  return out;
}

std::string Config::help() const {
  std::string out;
  for (const std::string_view name : section_names()) {
    for (const Section* section : sections_) {
      if (section->name() != name) continue;
      for (const Entry* entry : section->entries()) {
        out += fmt::format("  {:<28} {} (now {}; {})\n", full_name(name, entry->name()), entry->help(), entry->print(),
                           entry->allowed());
      }
    }
  }
  return out;
}

}  // namespace pelikan::config
