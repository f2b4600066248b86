#include "tools/bench/dialogue.h"

#include "tools/bench/binary_dialogue.h"
#include "tools/bench/block_dialogue.h"
#include "tools/bench/memcache_dialogue.h"
#include "tools/bench/resp_dialogue.h"

namespace pelikan::tools::bench {

std::unique_ptr<Dialogue> make_dialogue(const Options& options, std::uint32_t outstanding_max, Workload& workload) {
  switch (options.protocol) {
    case Protocol::kMemcache: return std::make_unique<MemcacheDialogue>(outstanding_max, workload);
    case Protocol::kMeta: return std::make_unique<MetaDialogue>(outstanding_max, workload);
    case Protocol::kBinary: return std::make_unique<BinaryDialogue>(outstanding_max, workload);
    case Protocol::kResp: return std::make_unique<RespDialogue>(outstanding_max, workload);
    case Protocol::kEcho:
      return std::make_unique<BlockDialogue>(echo_block(options.echo.request_bytes),
                                             echo_block(options.echo.reply_bytes));
    case Protocol::kPing: break;
  }
  return std::make_unique<BlockDialogue>("PING\r\n", "PONG\r\n");
}

}  // namespace pelikan::tools::bench
