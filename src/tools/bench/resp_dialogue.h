// RESP2, the protocol of redis, as a client speaks it: GET or MGET, SET, DEL. See dialogue.h.
#pragma once

#include "tools/bench/prepared_dialogue.h"

namespace pelikan::tools::bench {

class RespDialogue final : public PreparedDialogue {
 public:
  RespDialogue(std::uint32_t outstanding_max, Workload& workload);

 private:
  [[nodiscard]] std::size_t head_bytes(std::string_view bytes) const noexcept override;
  [[nodiscard]] Says read_head(std::string_view head) override;
  [[nodiscard]] Says read_bulk(std::string_view length);
};

}  // namespace pelikan::tools::bench
