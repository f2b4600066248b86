#include "backend/memcache/prefixes.h"

namespace pelikan::backend::memcache {

Prefixes::Counts* Prefixes::find(std::string_view key) {
  const std::size_t colon = key.find(':');
  if (colon == std::string_view::npos) return nullptr;
  const std::string_view prefix = key.substr(0, colon);
  if (const auto found = counts_.find(prefix); found != counts_.end()) return &found->second;
  if (counts_.size() == kPrefixesMax) return nullptr;
  return &counts_.emplace(prefix, Counts{}).first->second;
}

void Prefixes::each(const std::function<void(std::string_view, const Counts&)>& f) const {
  for (const auto& [prefix, counts] : counts_) f(prefix, counts);
}

}  // namespace pelikan::backend::memcache
