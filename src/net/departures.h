// Streams that are about to leave their loop: nothing of them is under way, and the last callback, on_closed() or
// on_detached(), comes from the next dispatch(). The part of a stream's life that both engines have in common.
//
// Owner: a loop. Threads: the loop's.
#pragma once

#include <cstddef>
#include <vector>

#include "net/loop.h"

namespace pelikan::net {

class Departures {
 public:
  // REQUIRES: the kernel knows nothing of the stream. Until it leaves, send() and close() may change its mind: after a
  // send() it stays, and the engine adds it again; after close() it leaves when close() has added it. A stream whose
  // connection is lost stays until close().
  void add(Stream& stream);
  [[nodiscard]] bool empty() const noexcept { return streams_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return streams_.size(); }
  // The last callbacks of the first `count`: those that were there when the turn began.
  void finish(std::size_t count);

 private:
  std::vector<Stream*> streams_;
};

}  // namespace pelikan::net
