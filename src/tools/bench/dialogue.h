// One connection's side of a protocol: composes requests, and reads the replies as they come, cut anywhere.
//
// Owner:   a connection. Threads: one.
// Limits:  as many requests under way as make_dialogue() was told; what announces or ends a reply is at most
//          kHeadBytesMax long; values are compared in place and never kept.
// Failure: scan() returns false for bytes that are no reply to what was asked; the connection is of no use from then
//          on. An answer that is a proper error, or a wrong value, is counted and the dialogue goes on.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/buffer.h"
#include "tools/bench/tally.h"
#include "tools/bench/workload.h"

namespace pelikan::tools::bench {

class Dialogue {
 public:
  virtual ~Dialogue() = default;

  // Appends `count` requests. REQUIRES: with them outstanding() is at most what make_dialogue() was told.
  virtual void compose(std::uint32_t count, Buffer& out) = 0;
  [[nodiscard]] virtual bool scan(std::string_view bytes, Tally& tally) = 0;
  [[nodiscard]] virtual std::uint32_t outstanding() const noexcept = 0;
};

inline constexpr std::size_t kHeadBytesMax = 1024;

[[nodiscard]] std::unique_ptr<Dialogue> make_dialogue(const Options& options, std::uint32_t outstanding_max,
                                                      Workload& workload);

}  // namespace pelikan::tools::bench
