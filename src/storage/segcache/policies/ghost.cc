#include "storage/segcache/policies/ghost.h"

#include <bit>
#include <stdexcept>

namespace pelikan::storage::segcache {
namespace {

constexpr std::uint64_t kItemBytesMin = 16;  // smaller ones are not all remembered

}  // namespace

Ghost::Ghost(std::uint64_t heap_bytes)
    : lines_max_(heap_bytes / kItemBytesMin / kLineEntries + 1),
      memory_(lines_max_ * sizeof(Line), "the ghost table"),
      lines_(reinterpret_cast<Line*>(memory_.data())) {
  if (!memory_.commit(sizeof(Line))) throw std::runtime_error("seg.eviction: no memory for the ghost table");
}

Ghost::Line& Ghost::line(std::uint64_t hash) noexcept {
  const std::uint64_t count = lines();
  const std::uint64_t low_lines = std::bit_floor(count);
  const std::uint64_t number = hash & (2 * low_lines - 1);
  return lines_[number < count ? number : number - low_lines];
}

void Ghost::add(std::uint64_t hash) noexcept {
  std::uint64_t pushed = fingerprint(hash);
  for (auto& word : line(hash).words) {
    const std::uint64_t before = word.load(std::memory_order_relaxed);
    word.store(before << 16 | pushed, std::memory_order_relaxed);
    pushed = before >> 48;
  }
}

bool Ghost::take(std::uint64_t hash) noexcept {
  constexpr std::uint64_t kOnes = 0x0001'0001'0001'0001;
  for (auto& word : line(hash).words) {
    const std::uint64_t before = word.load(std::memory_order_relaxed);
    const std::uint64_t differs = before ^ (kOnes * fingerprint(hash));  // 0 in the entry that is wanted
    const std::uint64_t found = (differs - kOnes) & ~differs & (kOnes << 15);
    if (found == 0) continue;
    const int shift = std::countr_zero(found) / 16 * 16;  // the lowest mark is never a false one
    word.store(before & ~(std::uint64_t{0xFFFF} << shift), std::memory_order_relaxed);
    return true;
  }
  return false;
}

void Ghost::grow(std::uint64_t keys, unsigned lines_most) noexcept {
  for (unsigned i = 0; i < lines_most && keys > lines() * kLineEntries && add_line(); ++i) continue;
}

bool Ghost::add_line() noexcept {
  const std::uint64_t count = lines();
  if (count >= lines_max_ || !memory_.commit((count + 1) * sizeof(Line))) return false;
  const Line& splits = lines_[count - std::bit_floor(count)];
  for (std::size_t i = 0; i < kLineWords; ++i) {
    lines_[count].words[i].store(splits.words[i].load(std::memory_order_relaxed), std::memory_order_relaxed);
  }
  line_count_.store(count + 1, std::memory_order_release);
  return true;
}

}  // namespace pelikan::storage::segcache
