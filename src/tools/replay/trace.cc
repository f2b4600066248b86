#include "tools/replay/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace pelikan::tools::replay {
namespace {

constexpr std::size_t kFirstSlots = 1024;
constexpr std::uint64_t kHashSeed = 1;  // any: the order of slots is never seen

// Puts the requests of a file together.
class Collector {
 public:
  explicit Collector(Format format) { trace_.format = format; }

  void leave_out(std::uint64_t number) noexcept {
    if (trace_.malformed_lines++ == 0) trace_.first_malformed_line = number;
  }
  // REQUIRES: the sizes are within the limits.
  void add(const Record& record) {
    padded_.assign(record.key_bytes - record.key.size(), '0');
    padded_ += record.key;
    const std::uint32_t known = trace_.keys.count();
    const std::uint32_t key = trace_.keys.number_of(padded_);
    if (key == known) trace_.footprint_bytes += padded_.size() + record.value_bytes;
    if (record.time_sec < now_sec_) ++trace_.backward_steps;
    now_sec_ = std::max(now_sec_, record.time_sec);
    trace_.requests.push_back({.time_sec = now_sec_,
                               .key = key,
                               .value_bytes = record.value_bytes & kValueBytesMax,
                               .operation_bits = static_cast<std::uint32_t>(record.operation) & 0xf,
                               .ttl_sec = record.ttl_sec});
  }
  [[nodiscard]] Trace take() { return std::move(trace_); }

 private:
  Trace trace_;
  std::string padded_;
  std::uint32_t now_sec_ = 0;
};

void read_lines(Source& source, Collector& collector) {
  LineReader lines(source);
  while (const auto line = lines.next()) {
    if (const auto record = parse_twitter(*line)) {
      collector.add(*record);
    } else {
      collector.leave_out(lines.line_number());
    }
  }
}

// A line that is wrong is one line; a record that is wrong in its sizes means that this is no such file.
void read_records(Source& source, Collector& collector, std::size_t record_bytes,
                  std::optional<Record> (*parse)(std::string_view)) {
  RecordReader records(source, record_bytes);
  while (const auto bytes = records.next()) {
    const std::uint64_t number = records.record_number();
    if (bytes->size() < record_bytes) {
      throw std::runtime_error(
          fmt::format("record {} ends early: {} of {} bytes", number, bytes->size(), record_bytes));
    }
    const auto record = parse(*bytes);
    if (!record) {
      collector.leave_out(number);
    } else if (record->key_bytes > kKeyBytesMax || record->value_bytes > kValueBytesMax) {
      throw std::runtime_error(fmt::format("record {} has a key of {} and a value of {} bytes; at most {} and {}",
                                           number, record->key_bytes, record->value_bytes, kKeyBytesMax,
                                           kValueBytesMax));
    } else {
      collector.add(*record);
    }
  }
}

}  // namespace

KeyTable::KeyTable() : hash_(kHashSeed), ends_{0}, slots_(kFirstSlots, kFree) {}

std::uint32_t KeyTable::number_of(std::string_view key) {
  std::size_t slot = slot_of(key);
  if (slots_[slot] != kFree) return slots_[slot];
  if (count() >= slots_.size() / 2) {
    grow();
    slot = slot_of(key);
  }
  text_.append(key);
  ends_.push_back(text_.size());
  return slots_[slot] = count() - 1;
}

// Where the key is, or the free slot where it belongs.
std::size_t KeyTable::slot_of(std::string_view wanted) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = hash_(wanted) & mask;
  while (slots_[slot] != kFree && key(slots_[slot]) != wanted) slot = (slot + 1) & mask;
  return slot;
}

void KeyTable::grow() {
  slots_.assign(slots_.size() * 2, kFree);
  for (std::uint32_t number = 0; number < count(); ++number) slots_[slot_of(key(number))] = number;
}

Trace read_trace(Source& source, Format format) {
  Collector collector(format);
  switch (format) {
    case Format::kTwitter: read_lines(source, collector); break;
    case Format::kSegcache20: read_records(source, collector, kSegcache20Bytes, parse_segcache20); break;
    case Format::kOracle: read_records(source, collector, kOracleBytes, parse_oracle); break;
  }
  Trace trace = collector.take();
  if (trace.requests.empty()) {
    throw std::runtime_error(fmt::format("the trace holds no request in the format `{}`", name_of(format)));
  }
  return trace;
}

}  // namespace pelikan::tools::replay
