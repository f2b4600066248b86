// The storage that stores nothing: it answers every PING. One for all sessions of all workers.
#pragma once

#include "protocol/ping/ping.h"
#include "protocol/protocol.h"

namespace pelikan::backend::ping {

struct Noop {
  static constexpr bool kThreadSafe = true;
  void execute(const protocol::ping::Request&, Replies<protocol::ping::Protocol>& reply) { reply({}); }
};
static_assert(StorageFor<Noop, protocol::ping::Protocol>);

}  // namespace pelikan::backend::ping
