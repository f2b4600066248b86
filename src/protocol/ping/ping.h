// PING -> PONG: the smallest protocol. A line, any case, ended by \n or \r\n.
#pragma once

#include "protocol/protocol.h"

namespace pelikan::protocol::ping {

struct Protocol {
  struct Request {};
  struct Response {};
  [[nodiscard]] static ParseResult parse(std::string_view bytes, Request& request);
  static void compose(const Response&, Buffer& out) { out.append("PONG\r\n"); }
};
static_assert(pelikan::Protocol<Protocol>);

using Request = Protocol::Request;
using Response = Protocol::Response;

}  // namespace pelikan::protocol::ping
