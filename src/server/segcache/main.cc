// pelikan-segcache: a memcached-compatible cache on segment storage.
#include <fmt/format.h>

#include "backend/memcache/backend.h"
#include "core/service.h"
#include "protocol/memcache/memcache.h"
#include "server/launch.h"
#include "server/memory_limit.h"
#include "server/segcache/host.h"
#include "storage/segcache/segcache.h"

namespace {

using namespace pelikan;
using backend::memcache::MemcacheBackend;
using backend::memcache::TimeType;
using storage::segcache::SegCache;
using storage::segcache::SegOptions;

// The part of [server] that is the memcache protocol's.
struct MemcacheOptions : config::Section {
  MemcacheOptions() : Section("server") {}
  config::Option<std::string> protocol{this, "protocol", "auto", "what clients speak; auto finds out",
                                       config::OneOf{"auto", "memcache"}};
  config::Option<config::Size> memory_limit{
      this, "memory_limit", 0,
      "most memory of the whole process, from which the size of the heap follows; 0 = seg.heap_size says it",
      config::Range{std::uint64_t{0}, 64 * config::kTiB}};
  config::Option<bool> shutdown_command{this, "shutdown_command", false, "let clients end the server by `shutdown`"};
};

struct TimeOptions : config::Section {
  TimeOptions() : Section("time") {}
  config::Option<std::string> time_type{this, "time_type", "memcache",
                                        "exptime: as memcached reads it, always a Unix time, or always from now",
                                        config::OneOf{"memcache", "unix", "delta"}};

  [[nodiscard]] TimeType type() const {
    return time_type() == "unix" ? TimeType::kUnix : time_type() == "delta" ? TimeType::kDelta : TimeType::kMemcache;
  }
};

// Storage, backend and service: one owner, in the order they depend on each other.
struct Cache {
  Cache(const SegOptions& seg, const MemcacheOptions& options, TimeType time_type,
        const server::Surroundings& surroundings)
      : host(surroundings, options.shutdown_command()),
        storage(seg, KeyHash{}, surroundings.clock.now()),
        backend(storage, host, surroundings.clock.now(), time_type) {}

  server::segcache::ProcessHost host;
  SegCache storage;
  MemcacheBackend backend;
};

std::string segments_report(const storage::segcache::Stats& stats) {
  return fmt::format(
      "STAT segments {}\r\nSTAT segments_free {}\r\nSTAT segment_bytes {}\r\nSTAT heap_bytes {}\r\nSTAT index_bytes "
      "{}\r\n"
      "STAT items {}\r\nSTAT live_bytes {}\r\nSTAT oldest_age_sec {}\r\nSTAT evicted_items {}\r\nSTAT expired_items "
      "{}\r\n",
      stats.segments, stats.segments_free, stats.segment_bytes, stats.heap_bytes, stats.index_bytes, stats.items,
      stats.live_bytes, stats.oldest_age_sec, stats.evicted_items, stats.expired_items);
}

}  // namespace

int main(int argc, char** argv) {
  SegOptions seg;
  MemcacheOptions options;
  TimeOptions time;
  std::unique_ptr<Cache> cache;
  const auto make = [&](const server::Surroundings& surroundings) {
    if (options.memory_limit() > 0) {
      seg.fit_into(server::limit_memory(surroundings.settings, options.memory_limit(), SegOptions::kFitBytesMin));
    }
    cache = std::make_unique<Cache>(seg, options, time.type(), surroundings);
    return server::Application{
        .services = {.make =
                         [&] {
                           return std::make_unique<core::ServiceFor<MemcacheBackend::Protocol, MemcacheBackend>>(
                               cache->backend,
                               MemcacheBackend::Protocol(static_cast<std::uint32_t>(seg.max_value_size())));
                         }},
        .flush_all = [&] { cache->backend.flush_all(); },
        .segments = [&] { return segments_report(cache->storage.stats()); }};
  };
  return server::launch(argc, argv, "pelikan-segcache", "a memcached-compatible cache on segment storage",
                        {&seg, &options, &time}, make);
}
