// The request path: parse, execute, compose, until the bytes are used up or a limit is reached. Workers, the storage
// thread and tests share it.
#pragma once

#include <cstddef>
#include <type_traits>

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

// Parses request after request until the bytes are used up, `full()`, or the limit; `take(request)` says whether to go
// on (false: a request asked for the end).
template <Protocol P, class Full, class Take>
ServeResult for_each_request(P& protocol, std::string_view bytes, std::size_t requests_max, Full&& full, Take&& take) {
  ServeResult result;
  typename P::Request request;
  while (result.consumed < bytes.size()) {
    if (result.requests == requests_max || full()) {
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
    const bool go_on = take(request);
    result.consumed += parsed.consumed;
    ++result.requests;
    if (!go_on) {
      result.status = ServeStatus::kClose;
      return result;
    }
  }
  return result;
}

// On the thread that owns the storage.
template <Protocol P, StorageFor<P> S>
ServeResult serve(P& protocol, S& storage, std::string_view bytes, Buffer& out, const ServeLimits& limits = {}) {
  Replies<P> replies(out);
  return for_each_request(
      protocol, bytes, limits.requests_max, [&] { return out.size() >= limits.output_bytes_max; },
      [&](const typename P::Request& request) {
        storage.execute(request, replies);
        return !replies.closed();
      });
}

// The same in two halves, for a storage that another thread owns. The first parses: `requests` holds P::Request objects
// one behind the other, which view `bytes`.
template <Protocol P>
ServeResult collect(P& protocol, std::string_view bytes, Buffer& requests, const ServeLimits& limits = {}) {
  using Request = typename P::Request;
  static_assert(std::is_trivially_copyable_v<Request> && alignof(Request) <= alignof(std::max_align_t));
  return for_each_request(
      protocol, bytes, limits.requests_max, [] { return false; },
      [&](const Request& request) {
        requests.append({reinterpret_cast<const char*>(&request), sizeof(Request)});
        return true;
      });
}

// The second half executes and composes. What is left in `requests` at a limit goes on with the next call.
// REQUIRES: `requests` is collect()'s, and what they view still holds.
template <Protocol P, StorageFor<P> S>
ServeResult execute_all(S& storage, Buffer& requests, Buffer& out, const ServeLimits& limits = {}) {
  using Request = typename P::Request;
  ServeResult result;
  Replies<P> replies(out);
  const auto* request = reinterpret_cast<const Request*>(requests.view().data());
  const std::size_t count = requests.size() / sizeof(Request);
  while (result.requests < count && result.status == ServeStatus::kNeedMore) {
    if (out.size() >= limits.output_bytes_max) {
      result.status = ServeStatus::kLimit;
      break;
    }
    storage.execute(request[result.requests++], replies);
    if (replies.closed()) result.status = ServeStatus::kClose;
  }
  requests.consume(result.requests * sizeof(Request));
  return result;
}

}  // namespace pelikan
