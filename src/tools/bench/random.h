// Randomness of the load: fast, seeded, the same sequence on every machine.
// Owner: one client each. Threads: one.
#pragma once

#include <cstdint>
#include <vector>

namespace pelikan::tools::bench {

// A counter scrambled by two multiplications (the mixing function of splitmix64).
class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept : state_(seed) {}

  [[nodiscard]] std::uint64_t next() noexcept {
    state_ += 0x9e3779b97f4a7c15;
    std::uint64_t bits = state_;
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111eb;
    return bits ^ (bits >> 31);
  }
  // In [0, bound).
  [[nodiscard]] std::uint32_t below(std::uint32_t bound) noexcept {
    return static_cast<std::uint32_t>(((next() >> 32) * bound) >> 32);
  }
  // In [0, 1).
  [[nodiscard]] double unit() noexcept { return static_cast<double>(next() >> 11) * 0x1p-53; }

 private:
  std::uint64_t state_;
};

// Numbers 0 .. count - 1, number k with a probability proportional to 1 / (k + 1)^exponent.
//
// A draw is exact and takes a small table whatever the count: the first numbers have an entry each, the others share
// one in ranges that are about a sixteenth longer at the end than at the beginning. An entry is drawn as often as all
// its numbers would be if each were as frequent as its first (Walker's alias method: one look into the table), then a
// number in it, which is rejected as much as it is less frequent than the first. As no number can be rejected that
// would have passed as the last of its range, only one in sixteen needs to compute its own probability.
// REQUIRES: count >= 1, exponent > 0.
class Zipf {
 public:
  Zipf(std::uint32_t count, double exponent);

  [[nodiscard]] std::uint32_t draw(Random& random) const noexcept {
    while (true) {
      const std::uint64_t bits = random.next();
      const Entry* entry = &entries_[((bits >> 32) * entries_.size()) >> 32];
      if (static_cast<std::uint32_t>(bits) >= entry->own) entry = &entries_[entry->alias];
      if (entry->numbers == 1) return entry->first;
      const std::uint64_t inside = random.next();
      const std::uint32_t number = entry->first + static_cast<std::uint32_t>(((inside >> 32) * entry->numbers) >> 32);
      const auto coin = static_cast<std::uint32_t>(inside);
      if (coin < entry->sure || coin < share(number, entry->first)) return number;
    }
  }

 private:
  struct Entry {
    std::uint32_t first = 0;
    std::uint32_t numbers = 1;
    std::uint32_t own = 0;  // a coin below this stays, any other goes to `alias`
    std::uint32_t alias = 0;
    std::uint32_t sure = 0;  // a coin below this takes any number of the range
  };

  void make_ranges(std::uint32_t count);
  void make_aliases();
  // How often `number` is drawn for each time that `first` is, of 2^32.
  [[nodiscard]] double share(std::uint32_t number, std::uint32_t first) const noexcept;

  double exponent_;
  std::vector<Entry> entries_;
};

}  // namespace pelikan::tools::bench
