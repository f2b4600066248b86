#include "storage/segcache/policies/policy.h"

#include <string>

#include "base/check.h"
#include "storage/segcache/options.h"
#include "storage/segcache/policies/merge.h"
#include "storage/segcache/policies/seger.h"
#include "storage/segcache/policies/simple.h"

namespace pelikan::storage::segcache {

std::unique_ptr<Policy> make_policy(const SegOptions& options) {
  const std::string& name = options.eviction();
  if (name == "none") return std::make_unique<NoEviction>();
  if (name == "random") return std::make_unique<RandomSegment>();
  if (name == "random_fifo") return std::make_unique<RandomFifo>();
  if (name == "fifo") return std::make_unique<Fifo>();
  if (name == "cte") return std::make_unique<Cte>();
  if (name == "util") return std::make_unique<Util>();
  if (name == "merge") {
    return std::make_unique<Merge>(static_cast<unsigned>(options.merge_target()),
                                   static_cast<unsigned>(options.merge_max()));
  }
  CHECK(name == "seger");
  return std::make_unique<Seger>(Geometry::from(options).heap_bytes());
}

}  // namespace pelikan::storage::segcache
