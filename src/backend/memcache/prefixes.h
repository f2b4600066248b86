// `stats detail`: commands counted per key prefix, the part before the first ':'. Off unless a client switches it on.
// Owner:   the backend. Threads: its thread.
// Limits:  kPrefixesMax prefixes; keys with further ones are not counted. While it is on, a new prefix allocates: it is
//          a diagnosis, not something to leave on.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace pelikan::backend::memcache {

class Prefixes {
 public:
  static constexpr std::size_t kPrefixesMax = 65536;

  struct Counts {
    std::uint64_t gets = 0, hits = 0, sets = 0, deletes = 0;
  };

  void enable(bool on) noexcept { enabled_ = on; }
  [[nodiscard]] bool enabled() const noexcept { return enabled_; }

  void count_get(std::string_view key, bool hit) {
    if (!enabled_) [[likely]]
      return;
    if (Counts* counts = find(key)) {
      ++counts->gets;
      counts->hits += hit;
    }
  }
  void count_set(std::string_view key) {
    if (!enabled_) [[likely]]
      return;
    if (Counts* counts = find(key)) ++counts->sets;
  }
  void count_delete(std::string_view key) {
    if (!enabled_) [[likely]]
      return;
    if (Counts* counts = find(key)) ++counts->deletes;
  }

  void clear() { counts_.clear(); }
  void each(const std::function<void(std::string_view prefix, const Counts&)>& f) const;
  [[nodiscard]] std::size_t size() const noexcept { return counts_.size(); }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
  };
  // Null for a key without a prefix, and when there are too many prefixes.
  Counts* find(std::string_view key);

  std::unordered_map<std::string, Counts, Hash, std::equal_to<>> counts_;
  bool enabled_ = false;
};

}  // namespace pelikan::backend::memcache
