// The `stats` command: every number from the counter of the mechanism it names. A field of memcached's whose mechanism
// does not exist here is printed as 0 where 0 is the true count, and left out otherwise. The whole store is presented
// as one slab class, 1. The numbers are those of the server: sums over all backends.
// Owner:   a backend. Threads: its thread.
// Limits:  kConnectionsMax connections listed, kDumpBytesMax of cachedump.
#pragma once

#include <cstdint>
#include <string_view>

#include "backend/memcache/host.h"
#include "backend/memcache/server_state.h"
#include "base/clock.h"
#include "protocol/memcache/memcache.h"
#include "storage/segcache/segcache.h"

namespace pelikan::backend::memcache {

class StatsReport {
 public:
  using Reply = Replies<protocol::memcache::Protocol>;
  using SegCache = storage::segcache::SegCache;

  static constexpr std::size_t kConnectionsMax = 4096;
  static constexpr std::size_t kDumpBytesMax = 2 * 1024 * 1024;

  StatsReport(const SegCache& cache, const Host& host, ServerState& state) noexcept
      : cache_(cache), host_(host), state_(state) {}

  // `arguments` is what followed "stats".
  void answer(std::string_view arguments, const Time& now, Reply& reply) const;

 private:
  void general(const Time& now, Reply& reply) const;
  void settings(Reply& reply) const;
  void items(Reply& reply) const;
  void slabs(Reply& reply) const;
  void memory(Reply& reply) const;
  void connections(Reply& reply) const;
  void detail(std::string_view word, Reply& reply) const;
  void cachedump(std::string_view arguments, const Time& now, Reply& reply) const;
  void reset() const;

  const SegCache& cache_;
  const Host& host_;
  ServerState& state_;
};

}  // namespace pelikan::backend::memcache
