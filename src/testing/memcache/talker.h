// One client's session with the memcache backend, in memory: does with serve() what a real session does with it.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "backend/memcache/backend.h"
#include "protocol/serve.h"

namespace pelikan::testing {

class Talker {
 public:
  explicit Talker(backend::memcache::MemcacheBackend& backend) : backend_(backend) {}

  // Hands `bytes` to the server and returns what it replied.
  std::string say(std::string_view bytes) {
    const std::size_t discarded = static_cast<std::size_t>(std::min<std::uint64_t>(discard_bytes_, bytes.size()));
    discard_bytes_ -= discarded;
    input_ += bytes.substr(discarded);
    Buffer out(pool_);
    std::string reply;
    while (!closed_ && !input_.empty() && input_.size() >= wanted_bytes_) {
      const ServeResult result = serve(protocol_, backend_, input_, out);
      const std::size_t used = static_cast<std::size_t>(std::min<std::uint64_t>(result.consumed, input_.size()));
      discard_bytes_ += result.consumed - used;
      input_.erase(0, used);
      wanted_bytes_ = result.wanted;
      output_bytes_max_ = std::max(output_bytes_max_, out.size());
      reply += out.view();
      out.clear();
      closed_ = result.status == ServeStatus::kClose || result.status == ServeStatus::kInvalid;
      if (result.status == ServeStatus::kNeedMore) break;
    }
    return reply;
  }
  [[nodiscard]] bool closed() const noexcept { return closed_; }
  [[nodiscard]] std::size_t held_bytes() const noexcept { return input_.size(); }
  // The most that ever waited to be sent.
  [[nodiscard]] std::size_t output_bytes_max() const noexcept { return output_bytes_max_; }

 private:
  backend::memcache::MemcacheBackend& backend_;
  protocol::memcache::Protocol protocol_;
  BufferPool pool_{1 << 20};
  std::string input_;
  std::uint64_t discard_bytes_ = 0;
  std::uint64_t wanted_bytes_ = 0;
  std::size_t output_bytes_max_ = 0;
  bool closed_ = false;
};

}  // namespace pelikan::testing
