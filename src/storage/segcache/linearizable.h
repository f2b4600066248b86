// Could this have happened one after the other? Judges the history (history.h) of a shared cache, key by key.
//
// A history is legal if each operation can be given a moment between its two stamps such that, done in the order of
// these moments on a sequential cache, each has the result it had (Herlihy and Wing's linearizability). Keys are
// independent; a flush is part of every key's history.
//
// How: as in Wing and Gong's search with Lowe's remembered states, but breadth first along the stamps. At any time the
// checker has the set of all situations that agree with everything seen so far: which of the operations under way have
// had their moment, and what is stored under the key. When an operation responds, each situation in which it had none
// yet is continued by every order of those under way that ends with it, as far as the results agree. A set that becomes
// empty is a violation. With t threads there are at most 2^t situations for each state, so the time is in proportion to
// the length, and nothing is ever undone. More than kSituationsMax is reported as a violation too.
//
// The sequential cache: one item or none, with value, token and deadline. Where more than one answer is right:
//   - Expiry. A deadline is reached for a thread when its clock, read in its last turn, has reached it: from then on it
//     must not see the item. Once any clock has, the others may find the item or find it gone, each for itself (a cache
//     may tell a thread of a later clock than its own); who has found it gone does not find it again. Before any clock
//     has reached it, it must be there.
//   - Touch may make a new version, with a new token, or not.
//   - If Rules::evicts: an item may vanish at any time, may get a new token at any time, and a heap may be full.
// Limits: threads 0 to 15. Tokens are also checked on their own: no two values ever have the same.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "storage/segcache/history.h"

namespace pelikan::storage::segcache {

struct Rules {
  bool evicts = false;
};

// What incr makes of a value; nothing if that is no number. A value counts as one if it is decimal digits only.
inline std::optional<std::string> incremented(std::string_view value) {
  std::uint64_t number = 0;
  const char* end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return fmt::format("{}", number + 1);
}

// What is stored under a key. After a touch `token` may have been replaced by one that nobody has seen yet; if it has
// been, and is still not known, it is 0.
struct Entry {
  bool there = false;
  bool perhaps_moved = false;
  std::uint32_t expire_at = 0;  // 0 = never
  std::uint32_t gone_for = 0;   // a bit for each thread that found it gone, though its own clock did not say so
  std::uint64_t token = 0;
  std::string value = {};

  friend auto operator<=>(const Entry&, const Entry&) = default;
};

// The sequential cache, one key of it.
class SequentialKey {
 public:
  explicit SequentialKey(Rules rules) : rules_(rules) {}

  // A thread's clock reads so much.
  void reach(std::uint32_t now_sec) noexcept { reached_sec_ = std::max(reached_sec_, now_sec); }

  // All that may be stored when `operation` has been done to `before` with the result it had; none if it cannot have
  // had that result.
  [[nodiscard]] std::vector<Entry> after(const Entry& before, const Operation& operation) const {
    if (operation.outcome == Operation::Outcome::kNoSpace) {
      return rules_.evicts ? std::vector<Entry>{before} : std::vector<Entry>{};
    }
    std::vector<Entry> all;
    const auto add = [&all](std::optional<Entry> entry) {
      if (entry) all.push_back(*std::move(entry));
    };
    if (!before.there) {
      add(after_none(before, operation));
      return all;
    }
    const std::uint32_t bit = 1U << operation.thread;
    const bool must_be_gone = before.expire_at != 0 && before.expire_at <= operation.now_sec;
    const bool may_be_gone = before.expire_at != 0 && before.expire_at <= reached_sec_;
    if (!must_be_gone && (before.gone_for & bit) == 0) add(after_item(before, operation));
    // Gone for this thread. Others may see it still, unless this one stores something else.
    if (must_be_gone || may_be_gone) {
      Entry gone = before;
      if (!must_be_gone) gone.gone_for |= bit;
      add(after_none(gone, operation));
    }
    if (rules_.evicts || may_be_gone) add(after_none({}, operation));  // gone for all
    return all;
  }

 private:
  using Kind = Operation::Kind;
  using Outcome = Operation::Outcome;

  // The thread finds nothing. `before` is what others may still see.
  [[nodiscard]] std::optional<Entry> after_none(const Entry& before, const Operation& operation) const {
    switch (operation.kind) {
      case Kind::kSet:
      case Kind::kAdd:
        if (operation.outcome != Outcome::kDone) return std::nullopt;
        return stored(operation, operation.value, operation.expire_at);
      case Kind::kFlush: return Entry{};
      default: return operation.outcome == Outcome::kMissing ? std::optional(before) : std::nullopt;
    }
  }

  // The thread finds `item`.
  [[nodiscard]] std::optional<Entry> after_item(const Entry& item, const Operation& operation) const {
    if (operation.kind == Kind::kFlush) return Entry{};
    if (operation.outcome == Outcome::kMissing) return std::nullopt;
    const bool done = operation.outcome == Outcome::kDone;
    switch (operation.kind) {
      case Kind::kGet:
        if (!done || item.value != operation.value || item.expire_at != operation.expire_at) return std::nullopt;
        return seen(item, operation.cas);
      case Kind::kAdd: return done ? std::nullopt : seen(item, operation.cas);
      case Kind::kCas: return done ? after_cas(item, operation) : after_refused_cas(item, operation);
      case Kind::kIncr: {
        const std::optional<std::string> number = incremented(item.value);
        if (number.has_value() != done) return std::nullopt;
        if (!done) return seen(item, operation.cas);
        if (*number != operation.value) return std::nullopt;
        return stored(operation, *number, item.expire_at);
      }
      case Kind::kTouch: {
        if (!done) return std::nullopt;
        if (operation.expire_at != 0 && operation.expire_at <= operation.now_sec) return Entry{};
        Entry touched = item;
        touched.expire_at = operation.expire_at;
        touched.perhaps_moved = true;
        touched.gone_for = 0;
        return touched;
      }
      case Kind::kErase: return done ? std::optional(Entry{}) : std::nullopt;
      default: break;
    }
    if (!done) return std::nullopt;
    if (operation.kind == Kind::kAppend) return stored(operation, item.value + operation.value, item.expire_at);
    return stored(operation, operation.value, operation.expire_at);  // set, replace
  }

  [[nodiscard]] std::optional<Entry> after_cas(const Entry& item, const Operation& operation) const {
    if (item.token != operation.token) return std::nullopt;
    return stored(operation, operation.value, operation.expire_at);
  }

  // EXISTS under the item's own token is right only if the token has changed meanwhile.
  [[nodiscard]] std::optional<Entry> after_refused_cas(const Entry& item, const Operation& operation) const {
    if (item.token != operation.token) return seen(item, operation.cas);
    if (operation.cas == operation.token || !movable(item)) return std::nullopt;
    Entry moved = item;
    moved.token = operation.cas;
    moved.perhaps_moved = moved.token == 0 && item.perhaps_moved;
    return moved;
  }

  [[nodiscard]] bool movable(const Entry& item) const noexcept { return rules_.evicts || item.perhaps_moved; }

  // Somebody was shown the item's token; 0: was not.
  [[nodiscard]] std::optional<Entry> seen(const Entry& item, std::uint64_t token) const {
    if (token == 0) return item;
    if (token != item.token && !movable(item)) return std::nullopt;
    Entry now_known = item;
    now_known.token = token;
    now_known.perhaps_moved = false;
    return now_known;
  }

  // A new version; one whose time has passed is gone at once, and has no token.
  [[nodiscard]] std::optional<Entry> stored(const Operation& operation, const std::string& value,
                                            std::uint32_t expire_at) const {
    if (expire_at != 0 && expire_at <= operation.now_sec) return Entry{};
    if (operation.cas == 0) return expire_at != 0 && expire_at <= reached_sec_ ? std::optional(Entry{}) : std::nullopt;
    return Entry{.there = true, .expire_at = expire_at, .token = operation.cas, .value = value};
  }

  Rules rules_;
  std::uint32_t reached_sec_ = 0;
};

class KeyChecker {
 public:
  static constexpr std::size_t kSituationsMax = 20'000;
  static constexpr unsigned kThreadsMax = 16;

  explicit KeyChecker(Rules rules) : key_(rules), situations_{Situation{}} {}

  // REQUIRES: the operations of one key, flushes and turns, in any order. Empty if they are legal.
  [[nodiscard]] std::string violation_of(const std::vector<const Operation*>& operations) {
    std::vector<std::pair<std::uint64_t, const Operation*>> events;
    for (const Operation* operation : operations) {
      CHECK(operation->thread < kThreadsMax);
      events.emplace_back(operation->invoked, operation);
      if (operation->kind != Operation::Kind::kTurn) events.emplace_back(operation->responded, operation);
    }
    std::sort(events.begin(), events.end());
    for (std::size_t at = 0; at < events.size(); ++at) {
      const auto& [stamp, operation] = events[at];
      if (operation->kind == Operation::Kind::kTurn) {
        key_.reach(operation->now_sec);
      } else if (stamp == operation->invoked) {
        CHECK(under_way_[operation->thread] == nullptr);
        under_way_[operation->thread] = operation;
      } else {
        const std::set<Situation> before = situations_;
        respond(*operation);
        if (situations_.size() > kSituationsMax) return report("too many situations to go on at", before, events, at);
        if (situations_.empty()) return report("no order explains", before, events, at);
      }
    }
    return {};
  }

 private:
  struct Situation {
    std::uint32_t had_moment = 0;  // a bit for each thread: its operation under way has
    Entry entry;

    friend auto operator<=>(const Situation&, const Situation&) = default;
  };
  using Events = std::vector<std::pair<std::uint64_t, const Operation*>>;

  void respond(const Operation& operation) {
    const std::uint32_t bit = 1U << operation.thread;
    std::set<Situation> done;
    std::set<Situation> known = situations_;
    std::vector<Situation> open(situations_.begin(), situations_.end());
    while (!open.empty() && known.size() <= kSituationsMax) {
      const Situation situation = std::move(open.back());
      open.pop_back();
      if ((situation.had_moment & bit) != 0) {
        done.insert({situation.had_moment & ~bit, situation.entry});
        continue;
      }
      for (unsigned thread = 0; thread < kThreadsMax; ++thread) {
        const std::uint32_t its_bit = 1U << thread;
        if (under_way_[thread] == nullptr || (situation.had_moment & its_bit) != 0) continue;
        for (Entry& entry : key_.after(situation.entry, *under_way_[thread])) {
          const auto [at, is_new] = known.insert({situation.had_moment | its_bit, std::move(entry)});
          if (is_new) open.push_back(*at);
        }
      }
    }
    situations_ = known.size() > kSituationsMax ? std::move(known) : std::move(done);
    under_way_[operation.thread] = nullptr;
  }

  [[nodiscard]] static std::string report(std::string_view what, const std::set<Situation>& before,
                                          const Events& events, std::size_t at) {
    constexpr std::size_t kShown = 25;
    std::string text = fmt::format("{}\n  {}\nThere may have been before:\n", what, to_string(*events[at].second));
    std::size_t shown = 0;
    for (const auto& [had_moment, entry] : before) {
      if (++shown > kShown) break;
      text += !entry.there ? fmt::format("  nothing (moments {:x})\n", had_moment)
                           : fmt::format("  '{}' until {}, token {:x}{} (moments {:x})\n", entry.value, entry.expire_at,
                                         entry.token, entry.perhaps_moved ? " or a new one" : "", had_moment);
    }
    text += "What responded last, and what was under way:\n";
    for (std::size_t i = at > 2 * kShown ? at - 2 * kShown : 0; i < events.size(); ++i) {
      const auto& [stamp, operation] = events[i];
      if (operation->invoked <= events[at].first && stamp == operation->responded)
        text += "  " + to_string(*operation) + "\n";
    }
    return text;
  }

  SequentialKey key_;
  std::set<Situation> situations_;
  const Operation* under_way_[kThreadsMax] = {};
};

// No token ever names two values. REQUIRES: operations of all keys. Empty if so.
inline std::string token_violation_of(const std::vector<Operation>& operations) {
  using Kind = Operation::Kind;
  std::map<std::uint64_t, const Operation*> owners;
  for (const Operation& operation : operations) {
    // append's value is only its end; what was refused, and cas, say nothing of the value.
    const bool tells = operation.outcome == Operation::Outcome::kDone && operation.cas != 0 &&
                       operation.kind != Kind::kAppend && operation.kind != Kind::kTouch;
    if (!tells) continue;
    const auto [at, is_new] = owners.emplace(operation.cas, &operation);
    if (is_new || (at->second->key == operation.key && at->second->value == operation.value)) continue;
    return fmt::format("one token for two values:\n  key {} {}\n  key {} {}\n", at->second->key, to_string(*at->second),
                       operation.key, to_string(operation));
  }
  return {};
}

// Empty if the history, of all threads and all keys, is legal.
inline std::string violation_of(const std::vector<Operation>& operations, Rules rules) {
  using Kind = Operation::Kind;
  if (std::string text = token_violation_of(operations); !text.empty()) return text;
  std::map<std::uint32_t, std::vector<const Operation*>> keys;
  for (const Operation& operation : operations) {
    if (operation.kind != Kind::kFlush && operation.kind != Kind::kTurn) keys[operation.key].push_back(&operation);
  }
  for (auto& [key, of_key] : keys) {
    for (const Operation& operation : operations) {
      if (operation.kind == Kind::kFlush || operation.kind == Kind::kTurn) of_key.push_back(&operation);
    }
    if (std::string text = KeyChecker(rules).violation_of(of_key); !text.empty()) {
      return fmt::format("key {}: {}", key, text);
    }
  }
  return {};
}

}  // namespace pelikan::storage::segcache
