// The memcached text protocol: bytes to requests, responses to bytes, exactly as memcached 1.6.45 has them on the wire.
//
// A Protocol is the state of one session: where a multi-key read is, and how much of an unfinished line was searched
// already. A read of many keys is one line but one Request per key, so that the caller's bound on output holds however
// many keys a line has; the line is checked as a whole before its first key is handed out.
// Owner:    the session. Threads: the session's worker.
// Limits:   a line has 2048 bytes, one that begins a read 64 KiB; a value has value_bytes_max. A longer line ends the
//           session without a reply; the data of a refused store is skipped by `consumed` reaching past the bytes.
// Invariant: how the bytes were cut on their way never changes an answer.
#pragma once

#include <cstdint>
#include <string_view>

#include "protocol/memcache/request.h"
#include "protocol/memcache/response.h"
#include "protocol/protocol.h"

namespace pelikan::protocol::memcache {

class Protocol {
 public:
  using Request = memcache::Request;
  using Response = memcache::Response;

  static constexpr std::size_t kLineBytesMax = 2048;           // without the \n
  static constexpr std::size_t kReadLineBytesMax = 64 * 1024;  // of get, gets, gat, gats
  static constexpr std::uint32_t kValueBytesMax = 1024 * 1024;

  Protocol() noexcept = default;
  explicit Protocol(std::uint32_t value_bytes_max) noexcept : value_bytes_max_(value_bytes_max) {}

  [[nodiscard]] ParseResult parse(std::string_view bytes, Request& request) noexcept;
  static void compose(const Response& response, Buffer& out);

 private:
  // A multi-key read of which some keys are still to be handed out.
  struct PendingKeys {
    Command command = Command::kGet;
    std::uint8_t terminator_bytes = 0;  // \r\n or \n
    std::int32_t exptime = 0;
    std::uint32_t bytes = 0;  // of the line from the next key to its end, terminator included; 0 = no such read
  };

  [[nodiscard]] ParseResult parse_unterminated(std::string_view bytes) noexcept;
  [[nodiscard]] ParseResult parse_binary(std::string_view bytes, Request& request) noexcept;
  [[nodiscard]] ParseResult parse_read(std::string_view line, std::size_t line_bytes, Request& request) noexcept;
  [[nodiscard]] ParseResult parse_store(std::string_view line, std::size_t line_bytes, std::string_view bytes,
                                        Request& request) const noexcept;
  [[nodiscard]] ParseResult next_key(std::string_view bytes, Request& request) noexcept;

  PendingKeys pending_;
  std::uint32_t searched_bytes_ = 0;  // of the unfinished line, known to hold no \n
  std::uint32_t value_bytes_max_ = kValueBytesMax;
  bool started_ = false;  // the first byte, which decides between text and binary, was seen
};
static_assert(pelikan::Protocol<Protocol>);

}  // namespace pelikan::protocol::memcache
