// The binary protocol of memcached as a client speaks it: GET, SET, DELETE. See dialogue.h.
//
//   0      1       2           4        5     6                   8           12       16        24
//   | magic | opcode | key bytes | extras | type | vbucket or status | body bytes | opaque | CAS | extras, key, value
//
// Numbers are big-endian; body bytes are those of extras, key and value.
#pragma once

#include "tools/bench/prepared_dialogue.h"

namespace pelikan::tools::bench {

class BinaryDialogue final : public PreparedDialogue {
 public:
  BinaryDialogue(std::uint32_t outstanding_max, Workload& workload);

 private:
  // A head is the header with extras; of an error, with its text.
  [[nodiscard]] std::size_t head_bytes(std::string_view bytes) const noexcept override;
  [[nodiscard]] Says read_head(std::string_view head) override;
  [[nodiscard]] std::string_view error_text(std::string_view head) const noexcept override;
};

}  // namespace pelikan::tools::bench
