// The request path: parse, execute, compose, until the bytes are used up or a limit is reached. Workers, the storage
// thread and tests share it. It goes by windows of a few requests, which are parsed, shown to a storage that looks
// ahead, then executed.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
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

// As many requests as it takes to hide how long memory takes; more would push the first out of the nearest cache.
inline constexpr std::size_t kLookAhead = 16;

// Room for the requests of a window, not initialised: parse() sets a request whole.
template <Protocol P>
class Window {
 public:
  using Request = typename P::Request;
  static_assert(std::is_trivially_copyable_v<Request> && alignof(Request) <= alignof(std::max_align_t));

  [[nodiscard]] Request& operator[](std::size_t i) noexcept { return reinterpret_cast<Request*>(memory_.data())[i]; }
  [[nodiscard]] std::span<Request> first(std::size_t count) noexcept { return {&(*this)[0], count}; }

 private:
  alignas(Request) std::array<std::byte, kLookAhead * sizeof(Request)> memory_;
};

// Parses `count` requests once more. Returns how many bytes they have.
template <Protocol P>
std::uint64_t parse_again(P& protocol, std::string_view bytes, std::size_t count) {
  typename P::Request request;
  std::uint64_t consumed = 0;
  for (; count > 0; --count) consumed += protocol.parse(bytes.substr(consumed), request).consumed;
  return consumed;
}

// Parses window after window, until the bytes are used up or the limit is reached. `use(requests)` says how many of
// them it took; when it stops early, the others were never parsed: the protocol is set back to where it was.
template <Protocol P, class Use>
ServeResult for_each_window(P& protocol, std::string_view bytes, std::size_t requests_max, Use&& use) {
  Window<P> window;
  ServeResult result;
  while (result.consumed < bytes.size()) {
    if (result.requests == requests_max) {
      result.status = ServeStatus::kLimit;
      return result;
    }
    const P before = protocol;
    const std::uint64_t start = result.consumed;
    const std::size_t room = std::min(kLookAhead, requests_max - result.requests);
    std::size_t count = 0;
    ParseResult parsed{ParseStatus::kDone};
    while (count < room && result.consumed < bytes.size()) {
      parsed = protocol.parse(bytes.substr(result.consumed), window[count]);
      if (parsed.status != ParseStatus::kDone) break;
      result.consumed += parsed.consumed;
      ++count;
    }
    const std::size_t used = use(window.first(count));
    result.requests += used;
    if (used < count) [[unlikely]] {
      protocol = before;
      return {ServeStatus::kLimit, start + parse_again(protocol, bytes.substr(start), used), 0, result.requests};
    }
    if (parsed.status == ParseStatus::kNeedMore) {
      result.wanted = parsed.consumed;
      return result;
    }
    if (parsed.status == ParseStatus::kInvalid) {
      result.status = ServeStatus::kInvalid;
      return result;
    }
  }
  return result;
}

// Executes requests in their order, until one asks for the end or enough waits to be sent. Returns how many.
template <Protocol P, StorageFor<P> S>
std::size_t execute_some(S& storage, std::span<typename P::Request> requests, Replies<P>& replies, const Buffer& out,
                         std::size_t output_bytes_max) {
  if constexpr (LookingAhead<S, P>) {
    if (requests.size() > 1) storage.look_ahead(requests);
  }
  std::size_t executed = 0;
  while (executed < requests.size() && out.size() < output_bytes_max && !replies.closed()) {
    storage.execute(requests[executed++], replies);
  }
  return executed;
}

// On the thread that owns the storage.
template <Protocol P, StorageFor<P> S>
ServeResult serve(P& protocol, S& storage, std::string_view bytes, Buffer& out, const ServeLimits& limits = {}) {
  Replies<P> replies(out);
  ServeResult result =
      for_each_window(protocol, bytes, limits.requests_max, [&](std::span<typename P::Request> requests) {
        return execute_some<P>(storage, requests, replies, out, limits.output_bytes_max);
      });
  if (replies.closed()) result = {ServeStatus::kClose, result.consumed, 0, result.requests};
  return result;
}

// The same in two halves, for a storage that another thread owns. The first parses: `requests` holds P::Request objects
// one behind the other, which view `bytes`.
template <Protocol P>
ServeResult collect(P& protocol, std::string_view bytes, Buffer& requests, const ServeLimits& limits = {}) {
  return for_each_window(protocol, bytes, limits.requests_max, [&](std::span<typename P::Request> parsed) {
    requests.append({reinterpret_cast<const char*>(parsed.data()), parsed.size_bytes()});
    return parsed.size();
  });
}

// The second half executes and composes. What is left in `requests` at a limit goes on with the next call.
// REQUIRES: `requests` is collect()'s, and what they view still holds.
template <Protocol P, StorageFor<P> S>
ServeResult execute_all(S& storage, Buffer& requests, Buffer& out, const ServeLimits& limits = {}) {
  using Request = typename P::Request;
  ServeResult result;
  Replies<P> replies(out);
  std::span<Request> left(reinterpret_cast<Request*>(requests.data()), requests.size() / sizeof(Request));
  while (!left.empty() && result.status == ServeStatus::kNeedMore) {
    const auto window = left.first(std::min(left.size(), kLookAhead));
    const std::size_t executed = execute_some<P>(storage, window, replies, out, limits.output_bytes_max);
    if (executed < window.size()) result.status = ServeStatus::kLimit;
    if (replies.closed()) result.status = ServeStatus::kClose;
    result.requests += executed;
    left = left.subspan(executed);
  }
  requests.consume(result.requests * sizeof(Request));
  return result;
}

}  // namespace pelikan
