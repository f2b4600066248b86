#include "tools/bench/binary_dialogue.h"

#include <algorithm>

namespace pelikan::tools::bench {
namespace {

constexpr char kRequest = '\x80';
constexpr char kResponse = '\x81';
constexpr std::size_t kHeaderBytes = 24;
constexpr std::size_t kCasAt = 16;
constexpr std::uint32_t kNotFound = 1;
constexpr std::array<char, 3> kOpcodes{'\x00', '\x01', '\x04'};  // by Action
constexpr std::uint8_t kFlagsBytes = 4;

std::string big_endian(std::uint64_t number, std::size_t bytes) {
  std::string out(bytes, '\0');
  for (std::size_t i = bytes; i > 0; --i, number >>= 8) out[i - 1] = static_cast<char>(number & 0xff);
  return out;
}

std::uint32_t number_at(std::string_view bytes, std::size_t at, std::size_t count) noexcept {
  std::uint32_t number = 0;
  for (const char byte : bytes.substr(at, count)) number = number << 8 | static_cast<unsigned char>(byte);
  return number;
}

std::string header(char magic, Action action, std::size_t key_bytes, std::size_t extras_bytes,
                   std::size_t value_bytes) {
  return std::string{magic, kOpcodes[static_cast<std::size_t>(action)]} + big_endian(key_bytes, 2) +
         big_endian(extras_bytes, 1) + big_endian(0, 3) + big_endian(extras_bytes + key_bytes + value_bytes, 4) +
         big_endian(0, 12);
}

Prepared with_key(const std::string& front, std::size_t key_bytes) {
  const std::size_t key_at = front.size();
  return {.bytes = front + std::string(key_bytes, '0'), .key_at = key_at};
}

Script binary_script(const Workload& workload) {
  const std::size_t key_bytes = workload.key_bytes();
  const std::size_t value_bytes = workload.value_bytes();
  const std::string flags = big_endian(0, kFlagsBytes);
  const std::string set_extras = flags + big_endian(workload.ttl_sec(), 4);
  return {.get = with_key(header(kRequest, Action::kGet, key_bytes, 0, 0), key_bytes),
          .set = with_key(header(kRequest, Action::kSet, key_bytes, set_extras.size(), value_bytes) + set_extras,
                          key_bytes),
          .set_end = {},
          .erase = with_key(header(kRequest, Action::kDelete, key_bytes, 0, 0), key_bytes),
          .answer_begin = {},
          .hit = {.bytes = header(kResponse, Action::kGet, 0, kFlagsBytes, value_bytes) + flags},
          .value_end = {},
          .answer_end = {},
          .stored = header(kResponse, Action::kSet, 0, 0, 0),
          .foreign_at = kCasAt};
}

std::uint32_t status_of(std::string_view header) noexcept { return number_at(header, 6, 2); }
std::uint32_t extras_of(std::string_view header) noexcept { return number_at(header, 4, 1); }
std::uint32_t body_of(std::string_view header) noexcept { return number_at(header, 8, 4); }

}  // namespace

BinaryDialogue::BinaryDialogue(std::uint32_t outstanding_max, Workload& workload)
    : PreparedDialogue(outstanding_max, workload, binary_script(workload)) {}

std::size_t BinaryDialogue::head_bytes(std::string_view bytes) const noexcept {
  // Another protocol's answer may be shorter than a header: it is seen at its first byte.
  if (!bytes.empty() && bytes.front() != kResponse) return 1;
  if (bytes.size() < kHeaderBytes) return kHeaderBytes;
  return kHeaderBytes + (status_of(bytes) != 0 ? body_of(bytes) : extras_of(bytes));
}

std::string_view BinaryDialogue::error_text(std::string_view head) const noexcept {
  return head.substr(kHeaderBytes + extras_of(head));
}

PreparedDialogue::Says BinaryDialogue::read_head(std::string_view head) {
  if (head.size() < kHeaderBytes || head[1] != kOpcodes[static_cast<std::size_t>(action())]) return Says::kGarbage;
  const std::uint32_t status = status_of(head);
  if (status == kNotFound && action() != Action::kSet) return action() == Action::kGet ? Says::kMiss : Says::kDone;
  if (status != 0) return Says::kRefused;
  const std::uint32_t extras = extras_of(head);
  const std::uint32_t body = body_of(head);
  if (number_at(head, 2, 2) != 0 || body < extras) return Says::kGarbage;
  if (action() != Action::kGet) return body == 0 ? Says::kDone : Says::kGarbage;
  if (extras != kFlagsBytes) return Says::kGarbage;
  value_follows(body - extras, number_at(head, kHeaderBytes, kFlagsBytes) == 0);
  return Says::kValue;
}

}  // namespace pelikan::tools::bench
