// A dialogue in which every request is the same bytes, and every reply: ping, and what an echo server answers. See
// dialogue.h.
#pragma once

#include <string>

#include "tools/bench/dialogue.h"

namespace pelikan::tools::bench {

// What an echo server sends for each request, and is sent: so many bytes, the same ones in every process.
[[nodiscard]] std::string echo_block(std::uint32_t bytes);

class BlockDialogue final : public Dialogue {
 public:
  // REQUIRES: neither is empty.
  BlockDialogue(std::string_view request, std::string_view reply);

  void compose(std::uint32_t count, Buffer& out) override;
  [[nodiscard]] bool scan(std::string_view bytes, Tally& tally) override;
  [[nodiscard]] std::uint32_t outstanding() const noexcept override { return outstanding_; }

 private:
  // Some of them one after the other, so that many are copied and compared at once.
  const std::string requests_;
  const std::string replies_;
  const std::size_t request_bytes_;
  const std::size_t reply_bytes_;
  std::uint32_t outstanding_ = 0;
  std::size_t seen_ = 0;  // bytes of the present reply
};

}  // namespace pelikan::tools::bench
