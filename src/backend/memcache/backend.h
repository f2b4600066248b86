// Makes the segment cache answer the memcache protocol: one per thread that executes requests, each with its own handle
// of the cache. What clients see of the server, rather than of a worker, is in the ServerState that all share.
// Owner:    the server. Threads: its own.
// Time:     turn() once per loop turn, before its requests; nothing here asks for the time.
// Replies:  composed one by one straight from the cache's memory; a request with noreply gives none.
// Failure:  none: whatever a client sends is answered, or ends its session.
#pragma once

#include <cstdint>
#include <span>

#include "backend/memcache/counters.h"
#include "backend/memcache/host.h"
#include "backend/memcache/server_state.h"
#include "backend/memcache/stats.h"
#include "base/clock.h"
#include "protocol/memcache/memcache.h"
#include "protocol/protocol.h"
#include "storage/segcache/segcache.h"

namespace pelikan::backend::memcache {

// How a client's exptime is read (Pelikan's time.time_type): as memcached does (up to 30 days from now, above that a
// Unix time), always as a Unix time, or always from now.
enum class TimeType : std::uint8_t { kMemcache, kUnix, kDelta };

class MemcacheBackend {
 public:
  using Protocol = protocol::memcache::Protocol;
  using Request = protocol::memcache::Request;
  using Response = protocol::memcache::Response;
  using Reply = Replies<Protocol>;
  using SegCache = storage::segcache::SegCache;

  // REQUIRES: cache, state and host outlive this.
  MemcacheBackend(SegCache& cache, ServerState& state, Host& host, const Time& start,
                  TimeType time_type = TimeType::kMemcache);

  // Both are the cache's, too.
  void turn(const Time& now) noexcept;
  void rest() noexcept { cache_.rest(); }
  // Has the CPU fetch what the requests will read, and notes the hashes of their keys.
  void look_ahead(std::span<Request> requests) const noexcept;
  void execute(const Request& request, Reply& reply);
  // All stored so far is gone; a delayed flush_all is forgotten.
  void flush_all() noexcept;

 private:
  void refuse(const Request& request, Reply& reply);
  void count_refused(const Request& request) noexcept;
  template <protocol::memcache::Command Which>
  void read(const Request& request, Reply& reply);
  template <protocol::memcache::Command Which>
  [[nodiscard]] bool send_value(const Request& request, Reply& reply);
  void store(const Request& request, Reply& reply);
  void store_too_large(const Request& request, Reply& reply);
  void store_without_room(const Request& request, Reply& reply);
  void change_number(const Request& request, Reply& reply);
  void erase(const Request& request, Reply& reply);
  void touch(const Request& request, Reply& reply);
  void flush_all(const Request& request, Reply& reply) noexcept;
  void set_memory_limit(const Request& request, Reply& reply);
  void shutdown(const Request& request, Reply& reply);

  SegCache& cache_;
  ServerState& state_;
  Host& host_;
  Counters& counters_;  // of this backend
  Prefixes& prefixes_;  // of all
  StatsReport stats_;
  Time now_;
  TimeType time_type_;
};
static_assert(LookingAhead<MemcacheBackend, protocol::memcache::Protocol>);

}  // namespace pelikan::backend::memcache
