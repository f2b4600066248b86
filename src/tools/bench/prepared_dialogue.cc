#include "tools/bench/prepared_dialogue.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace pelikan::tools::bench {
namespace {

constexpr std::size_t kForeignBytes = 8;

char* put(char* out, std::string_view text) noexcept {
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

}  // namespace

PreparedDialogue::PreparedDialogue(std::uint32_t outstanding_max, Workload& workload, Script script)
    : workload_(workload),
      script_(std::move(script)),
      value_ending_(script_.value_end),
      last_ending_(script_.value_end + script_.answer_end),
      keys_per_get_(workload.keys_per_get()),
      mask_(std::bit_ceil(outstanding_max) - 1),
      actions_(std::size_t{mask_} + 1),
      keys_(actions_.size() * keys_per_get_),
      begun_(script_.answer_begin.empty()) {}

PreparedDialogue::Ending::Ending(std::string_view ending) noexcept : bytes(ending.size()) {
  CHECK(bytes <= sizeof(text));
  char* from = reinterpret_cast<char*>(&text) + sizeof(text) - bytes;
  put(from, ending);
  std::memset(reinterpret_cast<char*>(&mask) + sizeof(mask) - bytes, 0xff, bytes);
}

// REQUIRES: eight bytes before `end` may be read.
inline bool PreparedDialogue::Ending::ends(const char* end) const noexcept {
  std::uint64_t last = 0;
  std::memcpy(&last, end - sizeof(last), sizeof(last));
  return ((last ^ text) & mask) == 0;
}

void PreparedDialogue::compose(std::uint32_t count, Buffer& out) {
  CHECK(outstanding() + count <= actions_.size());
  const KeyWriter writer = workload_.key_writer();
  Action* const actions = actions_.data();
  KeyDigits* const keys = keys_.data();
  std::uint32_t number = composed_;
  composed_ += count;
  for (; count > 0; --count) {
    const Request next = workload_.next();
    const std::uint32_t slot = number++ & mask_;
    actions[slot] = next.action;
    KeyDigits* digits = keys + std::size_t{slot} * keys_per_get_;
    *digits = workload_.digits(next.key);
    if (next.action == Action::kSet) {
      compose_set(*digits, out);
      continue;
    }
    const Prepared& request = next.action == Action::kGet ? script_.get : script_.erase;
    char* begin = out.prepare(request.bytes.size());
    put(begin, request.bytes);
    char* field = begin + request.key_at;
    writer.write(*digits, field);
    for (std::uint32_t more = request.keys - 1; more > 0; --more) {
      *++digits = workload_.digits(workload_.draw_key());
      writer.write(*digits, field += request.key_stride);
    }
    out.commit(request.bytes.size());
  }
}

void PreparedDialogue::compose_set(const KeyDigits& digits, Buffer& out) {
  const std::string_view value = workload_.value(digits.key);
  const std::size_t bytes = script_.set.bytes.size() + value.size() + script_.set_end.size();
  char* begin = out.prepare(bytes);
  put(put(put(begin, script_.set.bytes), value), script_.set_end);
  workload_.write_key(digits, begin + script_.set.key_at);
  out.commit(bytes);
}

bool PreparedDialogue::scan(std::string_view bytes, Tally& tally) {
  while (!bytes.empty()) {
    if (outstanding() == 0) return false;
    if (expect_ == Expect::kData) {
      if (!scan_data(bytes, tally)) return false;
    } else if (partial_bytes_ > 0 || !take_expected(bytes, tally)) {
      if (!scan_head(bytes, tally)) return false;
    }
  }
  return true;
}

bool PreparedDialogue::take_expected(std::string_view& bytes, Tally& tally) {
  switch (action()) {
    case Action::kGet:
      if (!begun_) return begun_ = take(script_.answer_begin, bytes);
      return take_expected_values(bytes, tally);
    case Action::kSet: return take_stored(bytes, tally);
    case Action::kDelete: break;
  }
  return false;
}

// Compares one expected value in place. A copy of all that this takes: what is written through a char pointer could
// otherwise be any of it, and would make it read again for each value.
class PreparedDialogue::Expected {
 public:
  explicit Expected(PreparedDialogue& dialogue) noexcept
      : head_(dialogue.script_.hit.bytes.data()),
        head_bytes_(dialogue.script_.hit.bytes.size()),
        key_at_(dialogue.script_.hit.key_at),
        foreign_at_(dialogue.script_.foreign_at),
        keys_(dialogue.workload_.key_writer()),
        values_(dialogue.workload_.values()) {}

  // Behind the value, which is the one of that key and ends so; null: it is not at `at`, or not whole.
  [[nodiscard]] const char* skip(const char* at, const char* end, const KeyDigits& key, const Ending& ending) const {
    const std::size_t bytes = head_bytes_ + values_.bytes + ending.bytes;
    if (static_cast<std::size_t>(end - at) < bytes || !ending.ends(at + bytes)) return nullptr;
    if (key_at_ != Prepared::kNowhere) keys_.write(key, head_ + key_at_);
    if (foreign_at_ != Prepared::kNowhere) std::memcpy(head_ + foreign_at_, at + foreign_at_, kForeignBytes);
    const bool same = std::memcmp(at, head_, head_bytes_) == 0 &&
                      std::memcmp(at + head_bytes_, values_.of(key.key), values_.bytes) == 0;
    return same ? at + bytes : nullptr;
  }

 private:
  char* const head_;
  const std::size_t head_bytes_;
  const std::size_t key_at_;
  const std::size_t foreign_at_;
  const KeyWriter keys_;
  const Values values_;
};

// Whole values, of this answer and the following ones, as many as there are.
bool PreparedDialogue::take_expected_values(std::string_view& bytes, Tally& tally) {
  const Expected expected(*this);
  const char* const end = bytes.data() + bytes.size();
  const char* const last = keys_per_get_ == 1 ? take_answers(expected, bytes.data(), end, tally)
                                              : take_values(expected, bytes.data(), end, tally);
  const auto taken = static_cast<std::size_t>(last - bytes.data());
  bytes.remove_prefix(taken);
  return taken > 0;
}

// Answers to sets, as many as there are.
bool PreparedDialogue::take_stored(std::string_view& bytes, Tally& tally) {
  char* const stored = script_.stored.data();
  const std::size_t stored_bytes = script_.stored.size();
  const std::size_t foreign_at = script_.foreign_at;
  const std::uint32_t composed = composed_;
  std::uint32_t answered = answered_;
  for (; answered != composed && actions_[answered & mask_] == Action::kSet; ++answered) {
    if (bytes.size() < stored_bytes) break;
    if (foreign_at != Prepared::kNowhere) std::memcpy(stored + foreign_at, bytes.data() + foreign_at, kForeignBytes);
    if (std::memcmp(bytes.data(), stored, stored_bytes) != 0) break;
    bytes.remove_prefix(stored_bytes);
  }
  const bool taken = answered != answered_;
  tally.keys += answered - answered_;
  answered_ = answered;
  return taken;
}

// One key, one answer: the hot loop of the program.
const char* PreparedDialogue::take_answers(const Expected& expected, const char* next, const char* end, Tally& tally) {
  const Action* const actions = actions_.data();
  const KeyDigits* const keys = keys_.data();
  const std::uint32_t mask = mask_;
  const std::uint32_t composed = composed_;
  const Ending ending = last_ending_;
  std::uint32_t answered = answered_;
  for (; answered != composed && actions[answered & mask] == Action::kGet; ++answered) {
    const char* const after = expected.skip(next, end, keys[answered & mask], ending);
    if (after == nullptr) break;
    next = after;
  }
  tally.hits += answered - answered_;
  tally.keys += answered - answered_;
  answered_ = answered;
  return next;
}

const char* PreparedDialogue::take_values(const Expected& expected, const char* next, const char* end, Tally& tally) {
  while (outstanding() > 0 && action() == Action::kGet && begun_ && keys_left() > 0) {
    const KeyDigits& wanted = keys_[std::size_t{answered_ & mask_} * keys_per_get_ + position_];
    const char* const after = expected.skip(next, end, wanted, keys_left() == 1 ? last_ending_ : value_ending_);
    if (after == nullptr) break;
    next = after;
    ++hits_;
    ++position_;
    if (keys_left() == 0) get_answered(tally);
  }
  return next;
}

bool PreparedDialogue::take(std::string_view expected, std::string_view& bytes) noexcept {
  if (!bytes.starts_with(expected)) return false;
  bytes.remove_prefix(expected.size());
  return true;
}

bool PreparedDialogue::scan_head(std::string_view& bytes, Tally& tally) {
  if (partial_bytes_ == 0) {
    const std::size_t needed = head_bytes(bytes);
    if (needed > partial_.size()) return false;
    if (needed <= bytes.size()) {
      const std::string_view head = bytes.substr(0, needed);
      bytes.remove_prefix(needed);
      return on_head(head, tally);
    }
  }
  while (true) {
    const std::size_t needed = head_bytes({partial_.data(), partial_bytes_});
    if (needed > partial_.size()) return false;
    if (needed <= partial_bytes_) break;
    const std::string_view more = bytes.substr(0, needed - partial_bytes_);
    if (more.empty()) return true;
    put(partial_.data() + partial_bytes_, more);
    partial_bytes_ += more.size();
    bytes.remove_prefix(more.size());
  }
  return on_head({partial_.data(), std::exchange(partial_bytes_, 0)}, tally);
}

bool PreparedDialogue::on_head(std::string_view head, Tally& tally) {
  const bool get = action() == Action::kGet;
  switch (read_head(head)) {
    case Says::kBegin:
      if (!get || begun_) return false;
      begun_ = true;
      return true;
    case Says::kValue:
      if (!get || !begun_ || keys_left() == 0) return false;
      if (data_bytes_ == 0 && script_.value_end.empty()) value_read(tally);
      return true;
    case Says::kMiss:
      if (!get || !begun_ || keys_left() == 0) return false;
      skip(1);
      end_get_if_whole(tally);
      return true;
    case Says::kEnd:
      if (!get) return false;
      get_answered(tally);
      return true;
    case Says::kDone:
      if (get) return false;
      answered(1, tally);
      return true;
    case Says::kRefused:
      hits_ = wrong_ = position_ = 0;
      tally.trouble(Trouble::kRefused, 1, error_text(head));
      answered(get ? keys_per_get_ : 1, tally);
      return true;
    case Says::kGarbage: break;
  }
  return false;
}

void PreparedDialogue::value_follows(std::uint64_t bytes, bool good) noexcept {
  expect_ = Expect::kData;
  data_bytes_ = bytes;
  data_seen_ = 0;
  data_good_ = good && bytes == workload_.value_bytes();
}

bool PreparedDialogue::scan_data(std::string_view& bytes, Tally& tally) {
  if (data_seen_ < data_bytes_) {
    const std::string_view part = bytes.substr(0, data_bytes_ - data_seen_);
    if (data_good_) data_good_ = part == workload_.value(key()).substr(data_seen_, part.size());
    data_seen_ += part.size();
    bytes.remove_prefix(part.size());
    if (data_seen_ < data_bytes_) return true;
  }
  const std::string_view wanted_end = std::string_view(script_.value_end).substr(data_seen_ - data_bytes_);
  const std::string_view end = bytes.substr(0, wanted_end.size());
  if (!wanted_end.starts_with(end)) return false;
  data_seen_ += end.size();
  bytes.remove_prefix(end.size());
  if (end.size() == wanted_end.size()) value_read(tally);
  return true;
}

void PreparedDialogue::value_read(Tally& tally) {
  expect_ = Expect::kHead;
  ++(data_good_ ? hits_ : wrong_);
  skip(1);
  end_get_if_whole(tally);
}

// Where nothing closes the answer.
void PreparedDialogue::end_get_if_whole(Tally& tally) {
  if (keys_left() == 0 && script_.answer_end.empty()) get_answered(tally);
}

void PreparedDialogue::get_answered(Tally& tally) {
  tally.hits += hits_;
  tally.misses += keys_per_get_ - hits_ - wrong_;
  if (wrong_ > 0) tally.trouble(Trouble::kWrongValue, wrong_, "a value that was never stored under its key");
  hits_ = wrong_ = position_ = 0;
  answered(keys_per_get_, tally);
}

void PreparedDialogue::answered(std::uint32_t keys, Tally& tally) noexcept {
  tally.keys += keys;
  ++answered_;
  begun_ = script_.answer_begin.empty();
}

}  // namespace pelikan::tools::bench
