// Writes responses into the output. What is written most, values, is inline here, so that a Response need not be in
// memory.
#pragma once

#include "base/buffer.h"
#include "base/bytes.h"
#include "protocol/memcache/response.h"

namespace pelikan::protocol::memcache {

// Appends pieces to room that was reserved for all of them.
class Writer {
 public:
  Writer(Buffer& out, std::size_t bytes_max) : out_(out), start_(out.prepare(bytes_max)), end_(start_) {}
  ~Writer() { out_.commit(static_cast<std::size_t>(end_ - start_)); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  Writer& text(std::string_view bytes) noexcept {
    end_ = write_text(end_, bytes);
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
inline constexpr std::size_t kLineRoom = 20 + 3 * kMaxDecimalChars;

// REQUIRES: kValue or kValueCas.
inline void compose_value(const Response& response, Buffer& out) {
  Writer writer(out, kLineRoom + response.key.size() + response.text.size());
  writer.text("VALUE ").text(response.key).text(" ").number(response.flags).text(" ").number(response.text.size());
  if (response.kind == Response::Kind::kValueCas) writer.text(" ").number(response.number);
  writer.text("\r\n").text(response.text).text("\r\n");
  if (response.last) writer.text(kEnd);
}

}  // namespace pelikan::protocol::memcache
