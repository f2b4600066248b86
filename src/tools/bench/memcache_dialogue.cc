#include "tools/bench/memcache_dialogue.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/bytes.h"
#include "base/check.h"

namespace pelikan::tools::bench {
namespace {

constexpr std::string_view kLineEnd = "\r\n";
constexpr std::size_t kVerbBytesMax = 8;  // "delete " and less

char* put(char* out, std::string_view text) noexcept {
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

bool is_error(std::string_view line) noexcept {
  return line.starts_with("ERROR") || line.starts_with("CLIENT_ERROR") || line.starts_with("SERVER_ERROR");
}

}  // namespace

MemcacheDialogue::MemcacheDialogue(std::uint32_t outstanding_max, Workload& workload)
    : workload_(workload),
      set_tail_(fmt::format(" 0 {} {}\r\n", workload.ttl_sec(), workload.value_bytes())),
      value_tail_(" 0 " + std::to_string(workload.value_bytes())),
      asked_(std::bit_ceil(outstanding_max)) {}

void MemcacheDialogue::compose(std::uint32_t count, Buffer& out) {
  CHECK(outstanding() + count <= asked_.size());
  const std::size_t request_bytes_max = kVerbBytesMax + workload_.key_bytes() + set_tail_.size();
  for (std::uint32_t i = 0; i < count; ++i) {
    const Request next = workload_.next();
    const std::size_t value_bytes = next.action == Action::kSet ? workload_.value_bytes() + kLineEnd.size() : 0;
    char* begin = out.prepare(request_bytes_max + value_bytes);
    out.commit(static_cast<std::size_t>(write_request(next, begin) - begin));
    request(composed_++) = next;
  }
}

char* MemcacheDialogue::write_request(const Request& next, char* out) const noexcept {
  switch (next.action) {
    case Action::kGet: out = put(out, "get "); break;
    case Action::kSet: out = put(out, "set "); break;
    case Action::kDelete: out = put(out, "delete "); break;
  }
  workload_.write_key(next.key, out);
  out += workload_.key_bytes();
  if (next.action == Action::kSet) out = put(put(out, set_tail_), workload_.value(next.key));
  return put(out, kLineEnd);
}

bool MemcacheDialogue::scan(std::string_view bytes, Tally& tally) {
  while (!bytes.empty()) {
    if (outstanding() == 0) return false;
    if (!(expect_ == Expect::kData ? scan_data(bytes) : scan_line(bytes, tally))) return false;
  }
  return true;
}

bool MemcacheDialogue::scan_line(std::string_view& bytes, Tally& tally) {
  const auto* newline = static_cast<const char*>(std::memchr(bytes.data(), '\n', bytes.size()));
  const std::size_t taken = newline != nullptr ? static_cast<std::size_t>(newline - bytes.data()) + 1 : bytes.size();
  std::string_view line = bytes.substr(0, taken);
  bytes.remove_prefix(taken);
  if (newline == nullptr || partial_bytes_ > 0) {
    if (line.size() > partial_.size() - partial_bytes_) return false;
    std::memcpy(partial_.data() + partial_bytes_, line.data(), line.size());
    partial_bytes_ += line.size();
    if (newline == nullptr) return true;
    line = {partial_.data(), partial_bytes_};
    partial_bytes_ = 0;
  }
  if (!line.ends_with(kLineEnd)) return false;
  return on_line(line.substr(0, line.size() - kLineEnd.size()), tally);
}

bool MemcacheDialogue::on_line(std::string_view line, Tally& tally) {
  if (expect_ == Expect::kEnd) {
    if (line != "END") return false;
    if (data_good_)
      ++tally.hits;
    else
      tally.trouble(Trouble::kWrongValue, 1, "a value that was never stored under its key");
    answered();
    return true;
  }
  const Action action = request(answered_).action;
  if (action == Action::kGet && line.starts_with("VALUE ")) return on_value_line(line.substr(6));
  if (is_error(line)) {
    tally.trouble(Trouble::kRefused, 1, line);
  } else if (action == Action::kGet && line == "END") {
    ++tally.misses;
  } else if (!(action == Action::kSet && line == "STORED") &&
             !(action == Action::kDelete && (line == "DELETED" || line == "NOT_FOUND"))) {
    return false;
  }
  answered();
  return true;
}

// `line` is what follows "VALUE ".
bool MemcacheDialogue::on_value_line(std::string_view line) {
  std::array<char, 256> key;
  workload_.write_key(request(answered_).key, key.data());
  const std::string_view wanted(key.data(), workload_.key_bytes());
  expect_ = Expect::kData;
  data_seen_ = 0;
  data_bytes_ = workload_.value_bytes();
  data_good_ = line.starts_with(wanted) && line.substr(wanted.size()) == value_tail_;
  if (data_good_) return true;
  const auto announced = parse_decimal<std::uint32_t>(line.substr(line.rfind(' ') + 1));
  data_bytes_ = announced.value_or(0);
  return announced && std::ranges::count(line, ' ') == 2;
}

bool MemcacheDialogue::scan_data(std::string_view& bytes) {
  if (data_seen_ < data_bytes_) {
    const std::string_view part = bytes.substr(0, data_bytes_ - data_seen_);
    if (data_good_) data_good_ = part == workload_.value(request(answered_).key).substr(data_seen_, part.size());
    data_seen_ += part.size();
    bytes.remove_prefix(part.size());
  }
  if (bytes.empty()) return true;
  const std::string_view wanted_end = kLineEnd.substr(data_seen_ - data_bytes_);
  const std::string_view end = bytes.substr(0, wanted_end.size());
  if (!wanted_end.starts_with(end)) return false;
  data_seen_ += end.size();
  bytes.remove_prefix(end.size());
  if (data_seen_ == data_bytes_ + kLineEnd.size()) expect_ = Expect::kEnd;
  return true;
}

void MemcacheDialogue::answered() noexcept {
  ++answered_;
  expect_ = Expect::kLine;
}

}  // namespace pelikan::tools::bench
