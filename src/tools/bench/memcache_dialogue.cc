#include "tools/bench/memcache_dialogue.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/bytes.h"

namespace pelikan::tools::bench {
namespace {

constexpr std::string_view kLineEnd = "\r\n";
constexpr std::string_view kValue = "VALUE ";

bool is_error(std::string_view line) noexcept {
  return line.starts_with("ERROR") || line.starts_with("CLIENT_ERROR") || line.starts_with("SERVER_ERROR");
}

// The line without its end; empty for one that ends otherwise, which no protocol's answer is.
std::string_view without_end(std::string_view line) noexcept {
  return line.ends_with(kLineEnd) ? line.substr(0, line.size() - kLineEnd.size()) : std::string_view();
}

Script memcache_script(const Workload& workload) {
  const std::string key(workload.key_bytes(), '0');
  Prepared get{.bytes = "get", .key_at = 4, .key_stride = key.size() + 1, .keys = workload.keys_per_get()};
  for (std::uint32_t i = 0; i < workload.keys_per_get(); ++i) get.bytes += " " + key;
  get.bytes += kLineEnd;
  return {
      .get = std::move(get),
      .set = {.bytes = fmt::format("set {} 0 {} {}\r\n", key, workload.ttl_sec(), workload.value_bytes()), .key_at = 4},
      .set_end = std::string(kLineEnd),
      .erase = {.bytes = fmt::format("delete {}\r\n", key), .key_at = 7},
      .answer_begin = {},
      .hit = {.bytes = fmt::format("VALUE {} 0 {}\r\n", key, workload.value_bytes()), .key_at = kValue.size()},
      .value_end = std::string(kLineEnd),
      .answer_end = "END\r\n",
      .stored = "STORED\r\n"};
}

Script meta_script(const Workload& workload) {
  const std::string key(workload.key_bytes(), '0');
  const std::string ttl = workload.ttl_sec() > 0 ? fmt::format(" T{}", workload.ttl_sec()) : "";
  return {.get = {.bytes = fmt::format("mg {} v\r\n", key), .key_at = 3},
          .set = {.bytes = fmt::format("ms {} {}{}\r\n", key, workload.value_bytes(), ttl), .key_at = 3},
          .set_end = std::string(kLineEnd),
          .erase = {.bytes = fmt::format("md {}\r\n", key), .key_at = 3},
          .answer_begin = {},
          .hit = {.bytes = fmt::format("VA {}\r\n", workload.value_bytes())},
          .value_end = std::string(kLineEnd),
          .answer_end = {},
          .stored = "HD\r\n"};
}

}  // namespace

std::size_t line_bytes(std::string_view bytes) noexcept {
  const auto* newline = static_cast<const char*>(std::memchr(bytes.data(), '\n', bytes.size()));
  return newline != nullptr ? static_cast<std::size_t>(newline - bytes.data()) + 1 : bytes.size() + 1;
}

MemcacheDialogue::MemcacheDialogue(std::uint32_t outstanding_max, Workload& workload)
    : PreparedDialogue(outstanding_max, workload, memcache_script(workload)),
      value_line_(without_end(script().hit.bytes).substr(kValue.size())) {}

PreparedDialogue::Says MemcacheDialogue::read_head(std::string_view head) {
  const std::string_view line = without_end(head);
  if (is_error(line)) return Says::kRefused;
  switch (action()) {
    case Action::kGet:
      if (line.starts_with(kValue)) return read_value_line(line.substr(kValue.size()));
      return line == "END" ? Says::kEnd : Says::kGarbage;
    case Action::kSet: return line == "STORED" ? Says::kDone : Says::kGarbage;
    case Action::kDelete: return line == "DELETED" || line == "NOT_FOUND" ? Says::kDone : Says::kGarbage;
  }
  return Says::kGarbage;
}

// `line` is what follows "VALUE ". The values come in the order of the keys; those without a value are left out.
PreparedDialogue::Says MemcacheDialogue::read_value_line(std::string_view line) {
  for (std::uint32_t ahead = 0; ahead < keys_left(); ++ahead) {
    workload().write_key(key(ahead), value_line_.data());
    if (line != value_line_) continue;
    skip(ahead);
    value_follows(workload().value_bytes(), true);
    return Says::kValue;
  }
  const auto announced = parse_decimal<std::uint32_t>(line.substr(line.rfind(' ') + 1));
  if (!announced || std::ranges::count(line, ' ') != 2) return Says::kGarbage;
  value_follows(*announced, false);
  return Says::kValue;
}

MetaDialogue::MetaDialogue(std::uint32_t outstanding_max, Workload& workload)
    : PreparedDialogue(outstanding_max, workload, meta_script(workload)) {}

PreparedDialogue::Says MetaDialogue::read_head(std::string_view head) {
  constexpr std::string_view kVa = "VA ";
  const std::string_view line = without_end(head);
  if (is_error(line) || line == "NS") return Says::kRefused;
  switch (action()) {
    case Action::kGet: {
      if (line == "EN") return Says::kMiss;
      const auto announced = parse_decimal<std::uint32_t>(line.substr(std::min(line.size(), kVa.size())));
      if (!line.starts_with(kVa) || !announced) return Says::kGarbage;
      value_follows(*announced, true);
      return Says::kValue;
    }
    case Action::kSet: return line == "HD" ? Says::kDone : Says::kGarbage;
    case Action::kDelete: return line == "HD" || line == "NF" ? Says::kDone : Says::kGarbage;
  }
  return Says::kGarbage;
}

}  // namespace pelikan::tools::bench
