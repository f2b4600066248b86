#include "storage/segcache/policies/policy.h"

#include "storage/segcache/options.h"
#include "storage/segcache/policies/merge.h"
#include "storage/segcache/policies/simple.h"

namespace pelikan::storage::segcache {

std::unique_ptr<Policy> make_policy(const SegOptions& options) {
  if (options.eviction() == "none") return std::make_unique<NoEviction>();
  if (options.eviction() == "fifo") return std::make_unique<Fifo>();
  return std::make_unique<Merge>(static_cast<unsigned>(options.merge_target()),
                                 static_cast<unsigned>(options.merge_max()));
}

}  // namespace pelikan::storage::segcache
