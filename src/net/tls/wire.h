// The BIO between OpenSSL and a Session: OpenSSL reads from the bytes that a call was given and writes into its buffer.
//
// It is also where a Session stops OpenSSL. Some messages OpenSSL handles by itself, one after the other for as long
// as there are bytes: requests to renegotiate (TLS 1.2) and KeyUpdates (TLS 1.3; each costs microseconds, and 27
// bytes). It gets no more bytes after one of the first, or when the others have taken kStepsMax of its steps. A
// KeyUpdate takes three to five; every record of data gives one back.
// Owner:   the Session. Threads: those of the Session.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/buffer.h"

struct bio_st;
struct ssl_ctx_st;
struct ssl_st;

namespace pelikan::net::tls {

struct Wire {
  static constexpr std::uint32_t kStepsMax = 128;

  std::string_view in;
  Buffer* out = nullptr;
  std::uint32_t steps = 0;
  bool established = false;
  bool renegotiation = false;
  bool no_memory = false;

  [[nodiscard]] bool stopped() const noexcept { return renegotiation || steps > kStepsMax; }
};

// Lends the bytes and the buffer to the BIO, for one call of OpenSSL. Clears the thread's OpenSSL errors first.
class WireCall {
 public:
  WireCall(Wire& wire, std::string_view& in, Buffer& out) noexcept;
  ~WireCall();
  WireCall(const WireCall&) = delete;
  WireCall& operator=(const WireCall&) = delete;

 private:
  Wire& wire_;
  std::string_view& in_;
};

// Null: no memory. `wire` must outlive it.
[[nodiscard]] bio_st* new_wire_bio(Wire& wire);
// Lets the Wires of all SSLs of `context` count steps and notice renegotiation.
void watch_messages(ssl_ctx_st* context);

}  // namespace pelikan::net::tls
