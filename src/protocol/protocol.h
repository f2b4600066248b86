// What a protocol is, and what makes a storage able to answer it. Both are only concepts here: a protocol knows no
// sockets and no storage, a storage knows no protocol, and `core` is written against these two.
//
// A protocol is a small object, one per session. It keeps what must survive between two calls of parse() (often
// nothing), and is copied to return to where it was: requests are parsed before it is known that they can be executed.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/buffer.h"

namespace pelikan {

// What parse() found at the front of the bytes:
//   kDone      a request, `consumed` bytes long. `consumed` may reach past the bytes that were given: the rest is
//              discarded as it arrives (this is how data of a refused request is swallowed).
//   kNeedMore  the request is not whole. `consumed` is the total size to wait for when that is known, else 0.
//   kInvalid   nothing can be understood from here on: the session is closed without a reply.
enum class ParseStatus : std::uint8_t { kDone, kNeedMore, kInvalid };

struct ParseResult {
  ParseStatus status = ParseStatus::kNeedMore;
  std::uint64_t consumed = 0;
};

// parse() sets the whole Request, which may view the bytes given to it and is valid until they are consumed. The cost
// of parsing the same bytes again after kNeedMore must not grow with their square: a caller that was told a size waits
// for it.
template <class P>
concept Protocol =
    std::default_initializable<P> && std::copyable<P> && std::default_initializable<typename P::Request> &&
    requires(P protocol, std::string_view bytes, typename P::Request& request, const typename P::Response& response,
             Buffer& out) {
      { protocol.parse(bytes, request) } -> std::same_as<ParseResult>;
      { P::compose(response, out) } -> std::same_as<void>;
    };

// Where a storage puts its answer: each call composes one response into the write buffer at once, so a response may
// view the storage's memory. A request may be answered by none, one or many responses.
template <class P>
class Replies {
 public:
  explicit Replies(Buffer& out) noexcept : out_(out) {}
  void operator()(const typename P::Response& response) { P::compose(response, out_); }
  // The session ends when everything answered so far has been sent.
  void close() noexcept { closed_ = true; }
  [[nodiscard]] bool closed() const noexcept { return closed_; }

 private:
  Buffer& out_;
  bool closed_ = false;
};

template <class S, class P>
concept StorageFor = Protocol<P> && requires(S storage, const typename P::Request& request, Replies<P>& replies) {
  { storage.execute(request, replies) } -> std::same_as<void>;
};

// A storage that is shown the next few requests before they are executed one by one, so that the CPU can fetch what
// each will read while it works on those before. It may note in them what it has worked out; they may not be executed
// after all.
template <class S, class P>
concept LookingAhead = StorageFor<S, P> && requires(S storage, std::span<typename P::Request> requests) {
  { storage.look_ahead(requests) } -> std::same_as<void>;
};

}  // namespace pelikan
