// A whole memcache server but for its sockets: cache, backend, process and clock, each under the test's control.
#pragma once

#include <string>
#include <string_view>

#include "backend/memcache/backend.h"
#include "storage/segcache/segcache.h"
#include "testing/fake_clock.h"
#include "testing/memcache/fake_host.h"
#include "testing/memcache/talker.h"

namespace pelikan::testing {

struct MemcacheServer {
  struct Options : storage::segcache::SegOptions {
    Options(std::size_t heap_bytes, const char* policy) {
      heap_size.set(heap_bytes);
      segment_size.set(1 << 20);  // so that a value of nearly 1 MiB fits
      eviction.set(policy);
      hash_power.set(6);  // quick to make; it grows
    }
  };

  explicit MemcacheServer(std::size_t heap_bytes = 8 << 20, const char* eviction = "merge")
      : options(heap_bytes, eviction) {
    host.fake_settings.version = "1.2.3";
  }
  void advance(std::uint32_t seconds) {
    clock.advance(seconds);
    backend.turn(clock.now());
  }
  // One request or many, from a client of their own.
  std::string ask(std::string_view bytes) { return Talker(backend).say(bytes); }

  FakeClock clock;
  FakeHost host;
  Options options;
  storage::segcache::SegCache cache{options, KeyHash(1), clock.now()};
  backend::memcache::ServerState state;
  backend::memcache::MemcacheBackend backend{cache, state, host, clock.now()};
};

}  // namespace pelikan::testing
