// `stats detail`: commands counted per key prefix, the part before the first ':'. Off unless a client switches it on.
// Owner:   the ServerState. Threads: any.
// Limits:  kPrefixesMax prefixes; keys with further ones are not counted. While it is on, each command takes a lock and
//          a new prefix allocates: it is a diagnosis, not something to leave on.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
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

  void enable(bool on) noexcept { enabled_.store(on, std::memory_order_relaxed); }
  [[nodiscard]] bool enabled() const noexcept { return enabled_.load(std::memory_order_relaxed); }

  void count_get(std::string_view key, bool hit) {
    if (enabled()) [[unlikely]]
      count(key, {.gets = 1, .hits = hit});
  }
  void count_set(std::string_view key) {
    if (enabled()) [[unlikely]]
      count(key, {.sets = 1});
  }
  void count_delete(std::string_view key) {
    if (enabled()) [[unlikely]]
      count(key, {.deletes = 1});
  }

  void clear();
  // `f` may not call this object; commands that are counted wait meanwhile.
  void each(const std::function<void(std::string_view prefix, const Counts&)>& f) const;
  [[nodiscard]] std::size_t size() const;

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
  };
  void count(std::string_view key, const Counts& more);

  mutable std::mutex mutex_;
  std::unordered_map<std::string, Counts, Hash, std::equal_to<>> counts_;  // GUARDED_BY(mutex_)
  std::atomic<bool> enabled_{false};
};

}  // namespace pelikan::backend::memcache
