#include "backend/memcache/prefixes.h"

namespace pelikan::backend::memcache {

// A key without a prefix is not counted.
void Prefixes::count(std::string_view key, const Counts& more) {
  const std::size_t colon = key.find(':');
  if (colon == std::string_view::npos) return;
  const std::string_view prefix = key.substr(0, colon);
  const std::scoped_lock lock(mutex_);
  auto found = counts_.find(prefix);
  if (found == counts_.end()) {
    if (counts_.size() == kPrefixesMax) return;
    found = counts_.emplace(prefix, Counts{}).first;
  }
  Counts& counts = found->second;
  counts.gets += more.gets;
  counts.hits += more.hits;
  counts.sets += more.sets;
  counts.deletes += more.deletes;
}

void Prefixes::clear() {
  const std::scoped_lock lock(mutex_);
  counts_.clear();
}

void Prefixes::each(const std::function<void(std::string_view, const Counts&)>& f) const {
  const std::scoped_lock lock(mutex_);
  for (const auto& [prefix, counts] : counts_) f(prefix, counts);
}

std::size_t Prefixes::size() const {
  const std::scoped_lock lock(mutex_);
  return counts_.size();
}

}  // namespace pelikan::backend::memcache
