// The storage that stores nothing: it answers every PING. One for all workers: any number of threads may call it.
#pragma once

#include "protocol/ping/ping.h"
#include "protocol/protocol.h"

namespace pelikan::backend::ping {

struct Noop {
  void execute(const protocol::ping::Request&, Replies<protocol::ping::Protocol>& reply) { reply({}); }
};
static_assert(StorageFor<Noop, protocol::ping::Protocol>);

}  // namespace pelikan::backend::ping
