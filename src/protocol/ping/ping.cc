#include "protocol/ping/ping.h"

#include <algorithm>

namespace pelikan::protocol::ping {

ParseResult Protocol::parse(std::string_view bytes, Request&) {
  constexpr std::string_view kAsUsual = "PING\r\n";
  if (bytes.starts_with(kAsUsual)) [[likely]]
    return {ParseStatus::kDone, kAsUsual.size()};
  constexpr std::string_view kPing = "ping";
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const char c = bytes[i];
    if (i < kPing.size() ? (c | 0x20) != kPing[i] : c != '\n' && (c != '\r' || i > kPing.size())) {
      return {ParseStatus::kInvalid, 0};
    }
    if (c == '\n') return {ParseStatus::kDone, i + 1};
  }
  return {ParseStatus::kNeedMore, 0};
}

}  // namespace pelikan::protocol::ping
