// pelikan-segcache: a memcached-compatible cache on segment storage.
#include <fmt/format.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "backend/memcache/backend.h"
#include "config/config.h"
#include "core/service.h"
#include "log/log.h"
#include "protocol/memcache/memcache.h"
#include "server/launch.h"
#include "server/memory_limit.h"
#include "server/segcache/host.h"
#include "storage/segcache/segcache.h"

namespace {

using namespace pelikan;
using backend::memcache::MemcacheBackend;
using backend::memcache::ServerState;
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

// Whether each worker may have a handle of the storage. Throws config::Error when it may not and has to.
bool may_be_shared(const SegOptions& seg, const core::CoreOptions& core) {
  const auto workers = static_cast<unsigned>(core.worker.threads());
  if (SegCache::shareable(seg, workers)) return true;
  if (workers > 1 && core.storage.execution() == "shared") {
    throw config::Error(
        fmt::format("storage.execution = shared: seg.heap_size has too few segments for {} workers; make it larger, or "
                    "seg.segment_size smaller, or use auto",
                    workers));
  }
  return false;
}

// Throws config::Error when a request and a reply of the largest size would close their own connection: the buffer of
// each may be twice as large as what is in it.
void check_buffers(const SegOptions& seg, const core::CoreOptions& core) {
  const std::uint64_t needed = 4 * seg.max_value_size();
  if (core.server.buffer_memory() >= needed) return;
  throw config::Error(fmt::format(
      "server.buffer_memory = {}: seg.max_value_size = {} needs {}, for a request and a reply; make it larger, "
      "or seg.max_value_size smaller",
      core.server.buffer_memory().bytes, seg.max_value_size().bytes, needed));
}

// Storage, and a backend with a handle of it for each thread that executes requests: one owner, in the order they
// depend on each other.
class Cache {
 public:
  Cache(const SegOptions& seg, const MemcacheOptions& options, TimeType time_type,
        const server::Surroundings& surroundings)
      : thread_safe_(may_be_shared(seg, surroundings.settings.core)),
        time_type_(time_type),
        start_(surroundings.clock.now()),
        host_(surroundings, options.shutdown_command()) {
    const core::CoreOptions& core = surroundings.settings.core;
    const bool shared = core::choose_execution(core, thread_safe_) == core::Execution::kShared;
    const auto threads = static_cast<unsigned>(shared ? core.worker.threads() : 1);
    handles_.push_back(std::make_unique<SegCache>(seg, KeyHash{}, start_, threads));
    if (seg.prefault()) {
      log::info("seg.prefault: {} MB of memory for heap and index, made real in {} ms", stats().prefault_bytes >> 20,
                (surroundings.clock.now().mono_ns - start_.mono_ns) / 1'000'000);
    }
  }

  [[nodiscard]] bool thread_safe() const noexcept { return thread_safe_; }
  // For one more thread. What the first one's thread executes may use first().
  MemcacheBackend& add_backend() {
    if (!backends_.empty()) handles_.push_back(handles_.front()->share());
    return backends_.emplace_back(*handles_.back(), state_, host_, start_, time_type_);
  }
  [[nodiscard]] MemcacheBackend& first() noexcept { return backends_.front(); }
  [[nodiscard]] storage::segcache::Stats stats() const { return handles_.front()->stats(); }

 private:
  bool thread_safe_;
  TimeType time_type_;
  Time start_;
  ServerState state_;
  server::segcache::ProcessHost host_;
  std::vector<std::unique_ptr<SegCache>> handles_;
  std::deque<MemcacheBackend> backends_;
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
    check_buffers(seg, surroundings.settings.core);
    cache = std::make_unique<Cache>(seg, options, time.type(), surroundings);
    const auto make_service = [&] {
      return std::make_unique<core::ServiceFor<MemcacheBackend::Protocol, MemcacheBackend>>(
          cache->add_backend(), MemcacheBackend::Protocol(static_cast<std::uint32_t>(seg.max_value_size())));
    };
    return server::Application{.services = {.thread_safe = cache->thread_safe(), .make = make_service},
                               .flush_all = [&] { cache->first().flush_all(); },
                               .segments = [&] { return segments_report(cache->stats()); }};
  };
  return server::launch(argc, argv, "pelikan-segcache", "a memcached-compatible cache on segment storage",
                        {&seg, &options, &time}, make);
}
