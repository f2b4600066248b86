#include "storage/segcache/policies/ghost.h"

#include <algorithm>
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
  const std::uint64_t number = hash & (low_lines_ - 1);
  return lines_[number < split_ ? hash & (2 * low_lines_ - 1) : number];
}

void Ghost::add(std::uint64_t hash) noexcept {
  auto& entries = line(hash).entries;
  std::move_backward(entries.begin(), entries.end() - 1, entries.end());
  entries.front() = fingerprint(hash);
}

bool Ghost::take(std::uint64_t hash) noexcept {
  auto& entries = line(hash).entries;
  const auto found = std::ranges::find(entries, fingerprint(hash));
  if (found == entries.end()) return false;
  *found = 0;
  return true;
}

void Ghost::grow(std::uint64_t keys) noexcept {
  if (keys <= lines() * kLineEntries || lines() >= lines_max_) return;
  if (!memory_.commit((lines() + 1) * sizeof(Line))) return;
  lines_[lines()] = lines_[split_];
  if (++split_ == low_lines_) {
    low_lines_ *= 2;
    split_ = 0;
  }
}

}  // namespace pelikan::storage::segcache
