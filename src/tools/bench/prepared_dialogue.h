// A dialogue whose messages are prepared once: a request is a copy with the digits of its keys written over, and an
// answer that is the expected one, whole and in one piece, is taken by comparing it in place. Everything else (misses,
// errors, answers in pieces) goes to the protocol, which reads one head at a time.
//
// An answer to a get, and what is expected next. The answer to anything else is one head.
//
//   kHead  --kMiss, or the end of the answer-->  kHead (the next key, or the next answer)
//   kHead  --kValue-->  kData  --the value and what closes it-->  kHead
//
// Limits: a head of at most kHeadBytesMax. See dialogue.h for the rest.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "tools/bench/dialogue.h"

namespace pelikan::tools::bench {

// Bytes in which only keys differ.
struct Prepared {
  static constexpr std::size_t kNowhere = std::string::npos;

  std::string bytes;
  std::size_t key_at = kNowhere;  // of the first key; there it holds zeros
  std::size_t key_stride = 0;     // from one key to the next
  std::uint32_t keys = 1;
};

struct Script {
  Prepared get;         // with all its keys
  Prepared set;         // until the value
  std::string set_end;  // after the value
  Prepared erase;
  std::string answer_begin;  // of a get, before the first value
  Prepared hit;              // before each value
  std::string value_end;
  std::string answer_end;  // after the last value
  std::string stored;
  // Where in `hit` and `stored` the target writes eight bytes of its own; Prepared::kNowhere: it does not.
  std::size_t foreign_at = Prepared::kNowhere;
};

class PreparedDialogue : public Dialogue {
 public:
  void compose(std::uint32_t count, Buffer& out) final;
  [[nodiscard]] bool scan(std::string_view bytes, Tally& tally) final;
  [[nodiscard]] std::uint32_t outstanding() const noexcept final { return composed_ - answered_; }

 protected:
  PreparedDialogue(std::uint32_t outstanding_max, Workload& workload, Script script);

  // What a head says.
  enum class Says : std::uint8_t {
    kGarbage,
    kBegin,    // the answer_begin of a get
    kValue,    // a value follows: value_follows() was called
    kMiss,     // nothing under the next key
    kEnd,      // no more values of this get
    kDone,     // stored, deleted, or there was nothing to delete
    kRefused,  // an error
  };
  // How many bytes the head has that is at the front of `bytes`; more than there are: at least that many are needed.
  [[nodiscard]] virtual std::size_t head_bytes(std::string_view bytes) const noexcept = 0;
  [[nodiscard]] virtual Says read_head(std::string_view head) = 0;
  // Of a head that says kRefused.
  [[nodiscard]] virtual std::string_view error_text(std::string_view head) const noexcept {
    return head.substr(0, head.find('\r'));
  }

  [[nodiscard]] const Workload& workload() const noexcept { return workload_; }
  [[nodiscard]] const Script& script() const noexcept { return script_; }
  // Of the oldest request.
  [[nodiscard]] Action action() const noexcept { return actions_[answered_ & mask_]; }
  // Of a get: its answer_begin was read, or there is none; and keys until its answer is whole.
  [[nodiscard]] bool begun() const noexcept { return begun_; }
  [[nodiscard]] std::uint32_t keys_left() const noexcept { return keys_per_get_ - position_; }
  // The key `ahead` places after the next of the oldest get. REQUIRES: ahead < keys_left().
  [[nodiscard]] std::uint32_t key(std::uint32_t ahead = 0) const noexcept {
    return keys_[std::size_t{answered_ & mask_} * keys_per_get_ + position_ + ahead].key;
  }
  // So many keys have no value.
  void skip(std::uint32_t keys) noexcept { position_ += keys; }
  // A value of so many bytes follows. `good`: until now it is what was stored under the next key.
  void value_follows(std::uint64_t bytes, bool good) noexcept;

 private:
  // The last bytes of something, up to eight: compared at once.
  struct Ending {
    explicit Ending(std::string_view text) noexcept;
    [[nodiscard]] bool ends(const char* end) const noexcept;

    std::size_t bytes;
    std::uint64_t text = 0;
    std::uint64_t mask = 0;
  };
  class Expected;
  enum class Expect : std::uint8_t { kHead, kData };

  void compose_set(const KeyDigits& digits, Buffer& out);
  // Each takes what it understands off `bytes`. False: nothing taken.
  [[nodiscard]] bool take_expected(std::string_view& bytes, Tally& tally);
  [[nodiscard]] bool take_expected_values(std::string_view& bytes, Tally& tally);
  [[nodiscard]] bool take_stored(std::string_view& bytes, Tally& tally);
  // Each answers where it stops.
  [[nodiscard]] const char* take_answers(const Expected& expected, const char* next, const char* end, Tally& tally);
  [[nodiscard]] const char* take_values(const Expected& expected, const char* next, const char* end, Tally& tally);
  [[nodiscard]] static bool take(std::string_view expected, std::string_view& bytes) noexcept;
  // Each takes what belongs to the present head, or value, off `bytes`. False: garbage.
  [[nodiscard]] bool scan_head(std::string_view& bytes, Tally& tally);
  [[nodiscard]] bool scan_data(std::string_view& bytes, Tally& tally);
  [[nodiscard]] bool on_head(std::string_view head, Tally& tally);
  void value_read(Tally& tally);
  void end_get_if_whole(Tally& tally);
  void get_answered(Tally& tally);
  void answered(std::uint32_t keys, Tally& tally) noexcept;

  Workload& workload_;
  Script script_;
  // What closes a value, and the last one of an answer.
  Ending value_ending_;
  Ending last_ending_;
  const std::uint32_t keys_per_get_;
  // Rings of the requests under way, those of the numbers answered_ to composed_; the numbers wrap.
  std::uint32_t mask_;
  std::vector<Action> actions_;
  std::vector<KeyDigits> keys_;  // keys_per_get_ for each request
  std::uint32_t composed_ = 0;
  std::uint32_t answered_ = 0;

  Expect expect_ = Expect::kHead;
  bool begun_;
  std::uint32_t position_ = 0;  // of the next key
  std::uint32_t hits_ = 0;      // of this answer
  std::uint32_t wrong_ = 0;
  std::uint64_t data_bytes_ = 0;             // kData: of the value, without what closes it
  std::uint64_t data_seen_ = 0;              // kData: of both
  bool data_good_ = false;                   // kData: nothing wrong so far
  std::array<char, kHeadBytesMax> partial_;  // a head that came in pieces
  std::size_t partial_bytes_ = 0;
};

}  // namespace pelikan::tools::bench
