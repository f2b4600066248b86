#include <array>
#include <cstring>

#include "base/bytes.h"
#include "protocol/memcache/memcache.h"

namespace pelikan::protocol::memcache {
namespace {

constexpr std::string_view kBinaryRefusal =
    "this server speaks the text protocol: switch off the binary protocol option of your client "
    "(libmemcached: --BINARY-PROTOCOL / BEHAVIOR_BINARY_PROTOCOL, pylibmc: binary=False, spymemcached: Protocol.TEXT)";

// Appends pieces to room that was reserved for all of them.
class Writer {
 public:
  Writer(Buffer& out, std::size_t bytes_max) : out_(out), start_(out.prepare(bytes_max)), end_(start_) {}
  ~Writer() { out_.commit(static_cast<std::size_t>(end_ - start_)); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  Writer& text(std::string_view bytes) noexcept {
    if (!bytes.empty()) std::memcpy(end_, bytes.data(), bytes.size());
    end_ += bytes.size();
    return *this;
  }
  Writer& number(std::uint64_t value) noexcept {
    end_ = write_decimal(end_, value);
    return *this;
  }

 private:
  Buffer& out_;
  char* start_;
  char* end_;
};

// "VALUE " and the blanks, three numbers, two line ends and "END\r\n".
constexpr std::size_t kLineRoom = 20 + 3 * kMaxDecimalChars;

void compose_value(const Response& response, Buffer& out) {
  Writer writer(out, kLineRoom + response.key.size() + response.text.size());
  writer.text("VALUE ").text(response.key).text(" ").number(response.flags).text(" ").number(response.text.size());
  if (response.kind == Response::Kind::kValueCas) writer.text(" ").number(response.number);
  writer.text("\r\n").text(response.text).text("\r\n");
  if (response.last) writer.text(kEnd);
}

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

void Protocol::compose(const Response& response, Buffer& out) {
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
