// The ping protocol as a client speaks it. See dialogue.h.
#pragma once

#include "tools/bench/dialogue.h"

namespace pelikan::tools::bench {

class PingDialogue final : public Dialogue {
 public:
  void compose(std::uint32_t count, Buffer& out) override;
  [[nodiscard]] bool scan(std::string_view bytes, Tally& tally) override;
  [[nodiscard]] std::uint32_t outstanding() const noexcept override { return outstanding_; }

 private:
  std::uint32_t outstanding_ = 0;
  std::size_t seen_ = 0;  // bytes of the present reply
};

}  // namespace pelikan::tools::bench
