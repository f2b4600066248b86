// A connection on its way to a worker, ready for requests: from the listener, or from a worker that gives it away.
// Owner: the unique_ptr's holder; it moves through queues. Its buffer belongs to no pool on the way.
#pragma once

#include <cstdint>
#include <memory>

#include "base/buffer.h"
#include "core/service.h"
#include "net/fd.h"
#include "net/tls/session.h"

namespace pelikan::core {

struct Established {
  net::Fd fd;
  std::unique_ptr<net::tls::Session> tls;         // null: plain text
  std::unique_ptr<Conversation> conversation;     // null: it has not begun
  Buffer input;                                   // received, decrypted, not yet parsed
  std::uint64_t trust = 0;                        // TLS: Context::trust_fingerprint() under which it was let in
  std::uint64_t discard_bytes = 0;                // the next so many are to be swallowed
  std::uint64_t wanted_bytes = 0;                 // `input` makes no whole request before it has so many
  std::uint64_t receives = 0, receive_bytes = 0;  // behind the handshake, by the listener; in no metric yet
  bool peer_ended = false;                        // by close_notify: the socket would not tell again
  bool begun = false;                             // requests were served, elsewhere
};

}  // namespace pelikan::core
