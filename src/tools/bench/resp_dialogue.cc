#include "tools/bench/resp_dialogue.h"

#include <fmt/format.h>

#include "base/bytes.h"
#include "tools/bench/memcache_dialogue.h"

namespace pelikan::tools::bench {
namespace {

constexpr std::string_view kLineEnd = "\r\n";

std::string bulk(std::string_view text) { return fmt::format("${}\r\n{}\r\n", text.size(), text); }

std::string array(std::size_t elements) { return fmt::format("*{}\r\n", elements); }

// `end`: what follows the keys.
Prepared command(std::size_t elements, std::string_view verb, std::string_view key, std::uint32_t keys,
                 std::string_view end) {
  Prepared out{.bytes = array(elements) + bulk(verb), .key_stride = bulk(key).size(), .keys = keys};
  out.key_at = out.bytes.size() + bulk(key).size() - kLineEnd.size() - key.size();
  for (std::uint32_t i = 0; i < keys; ++i) out.bytes += bulk(key);
  out.bytes += end;
  return out;
}

Script resp_script(const Workload& workload) {
  const std::string key(workload.key_bytes(), '0');
  const std::uint32_t keys = workload.keys_per_get();
  const std::string ttl = std::to_string(workload.ttl_sec());
  const bool stays = workload.ttl_sec() == 0;
  const std::string value_length = fmt::format("${}\r\n", workload.value_bytes());
  return {.get = command(1 + keys, keys > 1 ? "MGET" : "GET", key, keys, ""),
          .set = command(stays ? 3 : 5, "SET", key, 1, value_length),
          .set_end = std::string(kLineEnd) + (stays ? "" : bulk("EX") + bulk(ttl)),
          .erase = command(2, "DEL", key, 1, ""),
          .answer_begin = keys > 1 ? array(keys) : "",
          .hit = {.bytes = value_length},
          .value_end = std::string(kLineEnd),
          .answer_end = {},
          .stored = "+OK\r\n"};
}

}  // namespace

RespDialogue::RespDialogue(std::uint32_t outstanding_max, Workload& workload)
    : PreparedDialogue(outstanding_max, workload, resp_script(workload)) {}

std::size_t RespDialogue::head_bytes(std::string_view bytes) const noexcept { return line_bytes(bytes); }

PreparedDialogue::Says RespDialogue::read_head(std::string_view head) {
  if (!head.ends_with(kLineEnd)) return Says::kGarbage;
  const std::string_view line = head.substr(0, head.size() - kLineEnd.size());
  // Within the array of an MGET there are values only.
  const bool in_array = action() == Action::kGet && !script().answer_begin.empty() && begun();
  if (line.starts_with('-')) return in_array ? Says::kGarbage : Says::kRefused;
  switch (action()) {
    case Action::kGet:
      if (!begun()) return head == script().answer_begin ? Says::kBegin : Says::kGarbage;
      return line.starts_with('$') ? read_bulk(line.substr(1)) : Says::kGarbage;
    case Action::kSet: return line == "+OK" ? Says::kDone : Says::kGarbage;
    case Action::kDelete: return line == ":0" || line == ":1" ? Says::kDone : Says::kGarbage;
  }
  return Says::kGarbage;
}

PreparedDialogue::Says RespDialogue::read_bulk(std::string_view length) {
  if (length == "-1") return Says::kMiss;
  const auto announced = parse_decimal<std::uint32_t>(length);
  if (!announced) return Says::kGarbage;
  value_follows(*announced, true);
  return Says::kValue;
}

}  // namespace pelikan::tools::bench
