#include <array>

#include "protocol/memcache/memcache.h"
#include "protocol/memcache/writer.h"

namespace pelikan::protocol::memcache {
namespace {

constexpr std::string_view kBinaryRefusal =
    "this server speaks the text protocol: switch off the binary protocol option of your client "
    "(libmemcached: --BINARY-PROTOCOL / BEHAVIOR_BINARY_PROTOCOL, pylibmc: binary=False, spymemcached: Protocol.TEXT)";

void compose_stat(const Response& response, Buffer& out) {
  Writer writer(out, kLineRoom + response.key.size() + response.text.size());
  writer.text("STAT ").text(response.key).text(" ");
  if (response.kind == Response::Kind::kStatNumber) {
    writer.number(response.number);
  } else {
    writer.text(response.text);
  }
  writer.text("\r\n");
}

// magic 1 | opcode 1 | key length 2 | extras length 1 | data type 1 | status 2 | body length 4 | opaque 4 | cas 8
void compose_binary_refusal(const Response& response, Buffer& out) {
  std::array<unsigned char, 24> header{};
  header[0] = 0x81;
  header[1] = static_cast<unsigned char>(response.number >> 32);
  header[7] = 0x81;  // status: unknown command
  header[11] = static_cast<unsigned char>(kBinaryRefusal.size());
  static_assert(kBinaryRefusal.size() < 256);
  for (std::size_t i = 0; i < 4; ++i) header[12 + i] = static_cast<unsigned char>(response.number >> (24 - 8 * i));
  out.append({reinterpret_cast<const char*>(header.data()), header.size()});
  out.append(kBinaryRefusal);
}

}  // namespace

void Protocol::compose_other(const Response& response, Buffer& out) {
  switch (response.kind) {
    case Response::Kind::kText: out.append(response.text); return;
    case Response::Kind::kValue:
    case Response::Kind::kValueCas: compose_value(response, out); return;
    case Response::Kind::kNumber: Writer(out, kLineRoom).number(response.number).text("\r\n"); return;
    case Response::Kind::kVersion:
      Writer(out, kLineRoom + response.text.size()).text("VERSION ").text(response.text).text("\r\n");
      return;
    case Response::Kind::kStat:
    case Response::Kind::kStatNumber: compose_stat(response, out); return;
    case Response::Kind::kBinary: compose_binary_refusal(response, out); return;
  }
}

}  // namespace pelikan::protocol::memcache
