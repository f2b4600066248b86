#include "tools/bench/dialogue.h"

#include "tools/bench/memcache_dialogue.h"
#include "tools/bench/ping_dialogue.h"

namespace pelikan::tools::bench {

std::unique_ptr<Dialogue> make_dialogue(Protocol protocol, std::uint32_t outstanding_max, Workload& workload) {
  if (protocol == Protocol::kPing) return std::make_unique<PingDialogue>();
  return std::make_unique<MemcacheDialogue>(outstanding_max, workload);
}

}  // namespace pelikan::tools::bench
