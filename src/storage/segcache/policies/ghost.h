// Remembers keys that left the cache not long ago, two bytes each.
//
// A line is 32 fingerprints of 16 bits, the youngest first; each new one pushes the oldest out. So the age of an entry
// is where it stands, and a line remembers its last 32 keys. A stranger is taken for one of them once in 2048 times,
// which costs nothing but its start in another queue.
//
// The table grows a line at a time, by linear hashing: a line that splits is copied, as no key is there to say what
// belongs where. What is in the wrong copy is never asked for and leaves as it ages.
// Owner:   a policy. Threads: grow() under room (shared.h), the rest on any. A race between them forgets a
//          key or remembers it twice, and nothing else: all words are relaxed.
// Limit:   an eighth of the heap; memory that is refused is done without.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "storage/segcache/region.h"

namespace pelikan::storage::segcache {

class Ghost {
 public:
  // Throws std::runtime_error when the address space is not to be had.
  explicit Ghost(std::uint64_t heap_bytes);

  void add(std::uint64_t hash) noexcept;
  // Whether the key is remembered. It is then forgotten.
  [[nodiscard]] bool take(std::uint64_t hash) noexcept;
  // Adds lines, at most so many, while there is room for less than so many keys.
  void grow(std::uint64_t keys, unsigned lines_most) noexcept;

  [[nodiscard]] std::uint64_t bytes() const noexcept { return lines() * sizeof(Line); }

 private:
  using Fingerprint = std::uint16_t;
  static constexpr unsigned kWordEntries = 4;
  static constexpr std::size_t kLineWords = 8;
  static constexpr std::size_t kLineEntries = kLineWords * kWordEntries;
  // The youngest entry is in the lowest bits of the first word; 0 = none.
  struct alignas(64) Line {
    std::array<std::atomic<std::uint64_t>, kLineWords> words;
  };
  static_assert(sizeof(Line) == 64);

  [[nodiscard]] static Fingerprint fingerprint(std::uint64_t hash) noexcept {
    const auto print = static_cast<Fingerprint>(hash >> 32);
    return print == 0 ? 1 : print;
  }
  [[nodiscard]] std::uint64_t lines() const noexcept { return line_count_.load(std::memory_order_acquire); }
  [[nodiscard]] Line& line(std::uint64_t hash) noexcept;
  [[nodiscard]] bool add_line() noexcept;

  std::uint64_t lines_max_;
  Region memory_;
  Line* lines_;
  std::atomic<std::uint64_t> line_count_{1};
};

}  // namespace pelikan::storage::segcache
