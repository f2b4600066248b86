// A cache and a model of it, driven by the same operations: for the random test and for the fuzz target.
//
// The model is a map of what was stored and until when. What it demands after every operation:
//   - a hit shows the value, the flags and (rounded up by less than 1/1000 above two days) the deadline last stored,
//     never anything that was replaced, erased, flushed or has expired;
//   - a miss on something the model has is an eviction: there are never more of them than the cache says it evicted;
//   - a store of something that fits succeeds, except with eviction "none";
//   - a CAS token is never 0 and never belonged to another version.
// A breach is a CHECK. Values are made from the key and a version number, so a torn or foreign one cannot pass.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <unordered_map>

#include "base/check.h"
#include "storage/segcache/segcache.h"

namespace pelikan::storage::segcache {

class ModelRun {
 public:
  ModelRun(const SegOptions& options, std::uint64_t seed)
      : evicts_(options.eviction() != "none"), cache_(options, KeyHash(seed), time()) {}

  [[nodiscard]] SegCache& cache() noexcept { return cache_; }
  [[nodiscard]] std::uint64_t refused() const noexcept { return refused_; }
  [[nodiscard]] std::uint64_t hits() const noexcept { return hits_; }
  [[nodiscard]] std::uint64_t evictions_seen() const noexcept { return evictions_seen_; }

  void advance(std::uint32_t seconds) {
    now_ += seconds;
    cache_.turn(time());
  }

  void get(const std::string& key, bool counted) {
    const std::optional<Item> item = counted ? cache_.get(foreseen(key)) : cache_.peek(foreseen(key));
    check(key, item ? &*item : nullptr);
  }

  enum class When : std::uint8_t { kAlways, kIfThere, kIfMissing, kIfUnchanged };

  // set, add, replace, cas. ttl_sec 0 is never.
  void store(const std::string& key, std::size_t value_bytes, std::uint32_t flags, std::uint32_t ttl_sec, When when) {
    const std::uint64_t version = ++versions_;
    const std::string value = make_value(key, version, value_bytes);
    const std::uint64_t token = token_of(key);
    finish(key, value, flags, deadline_in(ttl_sec), version, [&](const Item* current) {
      const bool does = when == When::kAlways || (when == When::kIfThere && current != nullptr) ||
                        (when == When::kIfMissing && current == nullptr) ||
                        (when == When::kIfUnchanged && current != nullptr && current->cas == token);
      return does ? Verdict::store(value, flags, deadline_in(ttl_sec)) : Verdict::keep();
    });
  }

  // append or prepend; flags and deadline stay.
  void extend(const std::string& key, std::size_t more_bytes, bool in_front) {
    const std::uint64_t version = ++versions_;
    const std::string more = make_value(key, version, more_bytes);
    std::string value;
    std::uint32_t flags = 0;
    std::uint32_t deadline = 0;
    finish(key, value, flags, deadline, version, [&](const Item* current) {
      if (current == nullptr) return Verdict::keep();
      value = in_front ? more + std::string(current->value) : std::string(current->value) + more;
      flags = current->flags;
      deadline = current->expire_at;
      Verdict verdict = Verdict::store(current->value, flags, deadline);
      (in_front ? verdict.back : verdict.front) = current->value;
      (in_front ? verdict.front : verdict.back) = more;
      return verdict;
    });
  }

  void touch(const std::string& key, std::uint32_t ttl_sec) {
    get(key, false);
    const std::uint32_t deadline = deadline_in(ttl_sec);
    const auto at = entries_.find(key);
    const bool touched = cache_.touch(foreseen(key), deadline);
    CHECK(evicts_ ? touched == (at != entries_.end()) : !touched || at != entries_.end());
    if (!touched) return;
    at->second.deadline = deadline;
    at->second.slack = slack(deadline);
    get(key, false);
  }

  void erase(const std::string& key) {
    get(key, false);
    CHECK(cache_.erase(foreseen(key)) == (entries_.erase(key) == 1));
    CHECK(!cache_.peek(key));
  }

  // The erasing verdict of write().
  void erase_by_verdict(const std::string& key) {
    const WriteResult result = cache_.write(key, [&](const Item* current) {
      check(key, current);
      return Verdict::erase();
    });
    CHECK(result.status == WriteResult::Status::kErased && result.cas == 0);
    entries_.erase(key);
    CHECK(!cache_.peek(key));
  }

  void flush() {
    cache_.flush();
    entries_.clear();
    evictions_seen_ = cache_.stats().evicted_items;  // from here on
  }

  void visit(std::size_t limit) {
    std::size_t visited = 0;
    cache_.visit(limit, [&](const Item& item) {
      ++visited;
      check(std::string(item.key), &item);
      return true;
    });
    CHECK(visited <= limit);
  }

  void check_all() {
    cache_.check_invariants();
    CHECK(evictions_seen_ <= cache_.stats().evicted_items);
    std::size_t visited = 0;
    cache_.visit(SIZE_MAX, [&](const Item& item) {
      ++visited;
      check(std::string(item.key), &item);
      return true;
    });
    CHECK(visited <= entries_.size());
    CHECK(entries_.size() - visited <= cache_.stats().evicted_items + expired_entries());
  }

 private:
  struct Entry {
    std::string value;
    std::uint32_t flags = 0;
    std::uint32_t deadline = 0;  // 0 = never
    std::uint32_t slack = 0;     // how much later it may be stored
    std::uint64_t version = 0;
    std::uint64_t cas = 0;
  };

  // Every other time with prefetches and the hash they give.
  [[nodiscard]] Key foreseen(const std::string& key) {
    foresees_ = !foresees_;
    if (!foresees_) return key;
    const std::uint64_t hash = cache_.prefetch(key);
    cache_.prefetch_item(hash);
    return {key, hash};
  }
  // Between two seconds, as a running clock is.
  [[nodiscard]] Time time() const { return {.floor_sec = now_, .ceil_sec = now_ + 1, .unix_sec = 0, .mono_ns = 0}; }
  [[nodiscard]] std::uint32_t deadline_in(std::uint32_t ttl_sec) const { return ttl_sec == 0 ? 0 : now_ + 1 + ttl_sec; }
  [[nodiscard]] std::uint32_t slack(std::uint32_t deadline) const {
    const std::uint32_t ttl = deadline - now_;
    return deadline == 0 || ttl < (1U << 17) ? 0 : ttl / 1000;
  }
  [[nodiscard]] std::uint64_t token_of(const std::string& key) {
    const std::optional<Item> item = cache_.peek(key);
    return item ? item->cas : 0;
  }
  [[nodiscard]] std::size_t expired_entries() const {
    std::size_t expired = 0;
    for (const auto& [key, entry] : entries_) expired += entry.deadline != 0 && entry.deadline <= now_;
    return expired;
  }

  static std::string make_value(const std::string& key, std::uint64_t version, std::size_t bytes) {
    std::string value;
    value.reserve(bytes);
    std::uint64_t state = std::hash<std::string>{}(key) ^ (version * 0x9E3779B97F4A7C15);
    while (value.size() < bytes) {
      state = state * 6364136223846793005 + 1442695040888963407;
      value.append(reinterpret_cast<const char*>(&state), std::min(sizeof(state), bytes - value.size()));
    }
    return value;
  }

  // What the cache shows under `key` against the model. A miss on a live entry is noted as an eviction.
  void check(const std::string& key, const Item* item) {
    const auto at = entries_.find(key);
    if (item == nullptr) {
      if (at == entries_.end()) return;
      const bool live = at->second.deadline == 0 || at->second.deadline > now_;
      if (live) {
        ++evictions_seen_;
        CHECK(evictions_seen_ <= cache_.stats().evicted_items);
      }
      entries_.erase(at);
      return;
    }
    ++hits_;
    CHECK(at != entries_.end());
    Entry& entry = at->second;
    CHECK(item->key == key);
    CHECK(item->value == entry.value);
    CHECK(item->flags == entry.flags);
    CHECK((item->expire_at == 0) == (entry.deadline == 0));
    CHECK(item->expire_at >= entry.deadline && item->expire_at <= entry.deadline + entry.slack);
    CHECK(item->expire_at == 0 || item->expire_at > now_);
    check_token(item->cas, entry.version);
    entry.cas = item->cas;
  }

  void check_token(std::uint64_t cas, std::uint64_t version) {
    CHECK(cas != 0);
    const auto [at, is_new] = version_of_token_.try_emplace(cas, version);
    CHECK(at->second == version);
  }

  // Runs a write and brings the model up to date. `value`, `flags` and `deadline` may be filled in by `decide`.
  template <class Decide>
  void finish(const std::string& key, const std::string& value, const std::uint32_t& flags,
              const std::uint32_t& deadline, std::uint64_t version, Decide&& decide) {
    using Status = WriteResult::Status;
    Verdict::Kind kind = Verdict::Kind::kKeep;
    const WriteResult result = cache_.write(foreseen(key), [&](const Item* current) {
      check(key, current);
      const Verdict verdict = decide(current);
      kind = verdict.kind;
      return verdict;
    });
    if (kind == Verdict::Kind::kKeep) {
      CHECK(result.status == Status::kKept);
      CHECK((result.cas == 0) == !entries_.contains(key));
      return;
    }
    const bool fits = cache_.fits(key.size(), value.size());
    CHECK((result.status == Status::kTooLarge) == !fits);
    if (!fits) return;
    if (result.status == Status::kNoSpace) {
      CHECK(!evicts_);
      ++refused_;
      return;
    }
    CHECK(result.status == Status::kStored);
    entries_[key] = {value, flags, deadline, slack(deadline), version, result.cas};
    check_token(result.cas, version);
    get(key, false);
    CHECK(entries_.contains(key));
  }

  std::uint32_t now_ = 10;
  bool evicts_;
  bool foresees_ = false;
  SegCache cache_;
  std::unordered_map<std::string, Entry> entries_;
  std::unordered_map<std::uint64_t, std::uint64_t> version_of_token_;
  std::uint64_t versions_ = 0;
  std::uint64_t evictions_seen_ = 0;
  std::uint64_t hits_ = 0;
  std::uint64_t refused_ = 0;
};

}  // namespace pelikan::storage::segcache
