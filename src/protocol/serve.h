// The request path: parse, execute, compose, until the bytes are used up or a limit is reached. Workers and tests share
// it.
#pragma once

#include <algorithm>

#include "protocol/protocol.h"

namespace pelikan {

// Bounds on what one session may do in one turn, so that it neither starves the others nor fills memory.
struct ServeLimits {
  std::size_t requests_max = 1024;            // executed per call
  std::size_t output_bytes_max = 256 * 1024;  // stop when this much waits to be sent (one response may overshoot)
};

// Why serve() stopped:
//   kNeedMore  the rest is an incomplete request (or nothing); `wanted` is its size when known
//   kLimit     whole requests may be left: call again when the others had their turn and the output was sent
//   kClose     a request asked for it: send what was composed, then close
//   kInvalid   the bytes make no sense: send what was composed before them, then close
enum class ServeStatus : std::uint8_t { kNeedMore, kLimit, kClose, kInvalid };

struct ServeResult {
  ServeStatus status = ServeStatus::kNeedMore;
  std::uint64_t consumed = 0;  // may be more than the bytes given: discard the rest as it arrives
  std::uint64_t wanted = 0;
  std::size_t requests = 0;
};

template <Protocol P, StorageFor<P> S>
ServeResult serve(P& protocol, S& storage, std::string_view bytes, Buffer& out, const ServeLimits& limits = {}) {
  ServeResult result;
  Replies<P> replies(out);
  typename P::Request request;
  while (result.consumed < bytes.size()) {
    if (result.requests == limits.requests_max || out.size() >= limits.output_bytes_max) {
      result.status = ServeStatus::kLimit;
      return result;
    }
    const ParseResult parsed = protocol.parse(bytes.substr(result.consumed), request);
    if (parsed.status == ParseStatus::kInvalid) {
      result.status = ServeStatus::kInvalid;
      return result;
    }
    if (parsed.status == ParseStatus::kNeedMore) {
      result.wanted = parsed.consumed;
      return result;
    }
    storage.execute(request, replies);
    result.consumed += parsed.consumed;
    ++result.requests;
    if (replies.closed()) {
      result.status = ServeStatus::kClose;
      return result;
    }
  }
  return result;
}

}  // namespace pelikan
