#include "tools/bench/block_dialogue.h"

#include <algorithm>
#include <cstring>

#include "tools/bench/random.h"

namespace pelikan::tools::bench {
namespace {

constexpr std::size_t kStretchBytes = 4096;

std::string stretch_of(std::string_view block) {
  std::string out(block);
  while (out.size() + block.size() <= kStretchBytes) out += block;
  return out;
}

}  // namespace

std::string echo_block(std::uint32_t bytes) {
  std::string block(bytes, '\0');
  Random random(2);
  for (char& byte : block) byte = static_cast<char>(random.next());
  return block;
}

BlockDialogue::BlockDialogue(std::string_view request, std::string_view reply)
    : requests_(stretch_of(request)),
      replies_(stretch_of(reply)),
      request_bytes_(request.size()),
      reply_bytes_(reply.size()) {}

void BlockDialogue::compose(std::uint32_t count, Buffer& out) {
  outstanding_ += count;
  for (std::size_t bytes = count * request_bytes_; bytes > 0;) {
    const std::string_view some = std::string_view(requests_).substr(0, bytes);
    out.append(some);
    bytes -= some.size();
  }
}

bool BlockDialogue::scan(std::string_view bytes, Tally& /*tally: a block is neither hit nor miss*/) {
  if (bytes.size() > outstanding_ * reply_bytes_ - seen_) return false;
  while (!bytes.empty()) {
    const std::size_t part = std::min(bytes.size(), replies_.size() - seen_);
    if (std::memcmp(bytes.data(), replies_.data() + seen_, part) != 0) return false;
    bytes.remove_prefix(part);
    outstanding_ -= static_cast<std::uint32_t>((seen_ + part) / reply_bytes_);
    seen_ = (seen_ + part) % reply_bytes_;
  }
  return true;
}

}  // namespace pelikan::tools::bench
