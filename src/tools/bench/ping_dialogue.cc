#include "tools/bench/ping_dialogue.h"

namespace pelikan::tools::bench {
namespace {

constexpr std::string_view kRequest = "PING\r\n";
constexpr std::string_view kReply = "PONG\r\n";

}  // namespace

void PingDialogue::compose(std::uint32_t count, Buffer& out) {
  for (std::uint32_t i = 0; i < count; ++i) out.append(kRequest);
  outstanding_ += count;
}

bool PingDialogue::scan(std::string_view bytes, Tally& /*tally: a pong is neither hit nor miss*/) {
  while (!bytes.empty()) {
    const std::string_view wanted = kReply.substr(seen_);
    const std::string_view part = bytes.substr(0, wanted.size());
    if (outstanding_ == 0 || !wanted.starts_with(part)) return false;
    bytes.remove_prefix(part.size());
    seen_ += part.size();
    if (seen_ < kReply.size()) continue;
    seen_ = 0;
    --outstanding_;
  }
  return true;
}

}  // namespace pelikan::tools::bench
