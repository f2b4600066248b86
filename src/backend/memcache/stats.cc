#include "backend/memcache/stats.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <iterator>
#include <string>

#include "base/bytes.h"
#include "base/check.h"
#include "metrics/memory.h"

namespace pelikan::backend::memcache {
namespace {

using protocol::memcache::Response;
namespace wire = protocol::memcache;
using Reply = StatsReport::Reply;

constexpr std::uint64_t kSlabClasses = 64;
constexpr std::uint64_t kOnlyClass = 1;
constexpr std::size_t kBucketBytes = 64;

// Where the numbers come from, read once per command.
struct Sources {
  const ServerState& state;
  storage::segcache::Stats store;
  HostCounts host;
  HostSettings settings;
};

struct Field {
  std::string_view name;
  std::uint64_t (*read)(const Sources&);
  bool resets = false;  // by `stats reset`
};

std::uint64_t zero(const Sources&) { return 0; }

// Two readings of what threads go on writing may be a moment apart.
std::uint64_t difference(std::uint64_t more, std::uint64_t less) noexcept { return more - std::min(more, less); }

std::uint64_t stores(const Counters& counters) {
  std::uint64_t sum = 0;
  for (const StoreCounters* c :
       {&counters.set, &counters.add, &counters.replace, &counters.append, &counters.prepend, &counters.cas}) {
    sum += difference(c->commands.value(), c->refused.value());
  }
  return sum;
}

#define COUNT(expression) [](const Sources& s) -> std::uint64_t { return expression; }
#define SUM(expression)                                                                \
  [](const Sources& s) -> std::uint64_t {                                              \
    return s.state.sum([](const Counters& c) -> std::uint64_t { return expression; }); \
  }
// In memcached's order. What it has and is missing here counts something we have no means to know.
constexpr Field kFields[] = {
    {"max_connections", COUNT(s.settings.max_connections)},
    {"curr_connections", COUNT(s.host.curr_connections)},
    {"total_connections", COUNT(s.host.total_connections), true},
    {"rejected_connections", COUNT(s.host.rejected_connections), true},
    {"connection_structures", COUNT(s.host.curr_connections)},
    {"response_obj_oom", zero},
    {"response_obj_count", zero},
    {"response_obj_bytes", zero},
    {"read_buf_bytes", COUNT(s.host.connection_bytes)},
    {"read_buf_oom", zero},
    {"cmd_get", SUM(c.get.keys.value() + c.gets.keys.value()), true},
    {"cmd_set", SUM(stores(c)), true},
    {"cmd_flush", SUM(c.flush_all.value()), true},
    {"cmd_touch",
     SUM(difference(c.touch.commands.value(), c.touch.refused.value()) + c.gat.keys.value() + c.gats.keys.value()),
     true},
    {"cmd_meta", zero},
    {"get_hits", SUM(c.get.hits.value() + c.gets.hits.value()), true},
    {"get_misses", SUM(c.get.misses.value() + c.gets.misses.value()), true},
    {"delete_misses", SUM(c.erase.misses.value()), true},
    {"delete_hits", SUM(c.erase.hits.value()), true},
    {"incr_misses", SUM(c.incr.misses.value()), true},
    {"incr_hits", SUM(c.incr.hits.value()), true},
    {"decr_misses", SUM(c.decr.misses.value()), true},
    {"decr_hits", SUM(c.decr.hits.value()), true},
    {"cas_misses", SUM(c.cas.not_stored.value()), true},
    {"cas_hits", SUM(c.cas.stored.value()), true},
    {"cas_badval", SUM(c.cas_exists.value()), true},
    {"touch_hits", SUM(c.touch.hits.value() + c.gat.hits.value() + c.gats.hits.value()), true},
    {"touch_misses", SUM(c.touch.misses.value() + c.gat.misses.value() + c.gats.misses.value()), true},
    {"store_too_large", SUM(c.too_large.value()), true},
    {"store_no_memory", SUM(c.no_memory.value()), true},
    {"auth_cmds", zero},
    {"auth_errors", zero},
    {"idle_kicks", COUNT(s.host.idle_kicks), true},
    {"bytes_read", COUNT(s.host.bytes_read), true},
    {"bytes_written", COUNT(s.host.bytes_written), true},
    {"limit_maxbytes", COUNT(s.store.heap_bytes)},
    {"accepting_conns", COUNT(s.host.accepting ? 1 : 0)},
    {"listen_disabled_num", COUNT(s.host.accept_pauses), true},
    {"time_in_listen_disabled_us", COUNT(s.host.accept_pauses_us), true},
    {"threads", COUNT(s.settings.threads)},
    {"conn_yields", COUNT(s.host.yields), true},
    {"hash_power_level",
     COUNT(static_cast<std::uint64_t>(std::bit_width((s.store.index_bytes / kBucketBytes) | 1) - 1))},
    {"hash_bytes", COUNT(s.store.index_bytes)},
    {"slab_reassign_rescues", zero},
    {"slab_reassign_running", zero},
    {"slabs_moved", zero},
    {"lru_crawler_running", zero},
    {"lru_crawler_starts", zero},
    {"lru_maintainer_juggles", zero},
    {"malloc_fails", zero},
    {"log_worker_dropped", zero},
    {"log_worker_written", zero},
    {"log_watcher_skipped", zero},
    {"log_watcher_sent", zero},
    {"log_watchers", zero},
    {"ssl_new_sessions", COUNT(s.host.tls_handshakes), true},
    {"ssl_handshake_errors", COUNT(s.host.tls_handshake_errors), true},
    {"unexpected_napi_ids", zero},
    {"round_robin_fallback", zero},
    {"bytes", COUNT(s.store.live_bytes)},
    {"curr_items", COUNT(s.store.items)},
    {"total_items", COUNT(s.store.stored_items), true},
    {"slab_global_page_pool", COUNT(s.store.segments_free)},
    {"evictions", COUNT(s.store.evicted_items), true},
    {"reclaimed", COUNT(s.store.expired_items), true},
    {"crawler_reclaimed", zero},
    {"crawler_items_checked", zero},
    {"lrutail_reflocked", zero},
    {"moves_to_cold", zero},
    {"moves_to_warm", zero},
    {"moves_within_lru", zero},
    {"direct_reclaims", zero},
    {"lru_bumps_dropped", zero},
};
#undef SUM
#undef COUNT
static_assert(std::size(kFields) <= std::tuple_size_v<ServerState::Baseline>);

Sources sources(const ServerState& state, const storage::segcache::SegCache& cache, const Host& host) {
  return {state, cache.stats(), host.counts(), host.settings()};
}

// REQUIRES: `baseline` was taken before `from`.
std::uint64_t value_of(const Field& field, const Sources& from, const ServerState::Baseline& baseline) {
  return difference(field.read(from), baseline[static_cast<std::size_t>(&field - kFields)]);
}

std::uint64_t value_of(std::string_view name, const Sources& from, const ServerState::Baseline& baseline) {
  const auto field = std::ranges::find(kFields, name, &Field::name);
  CHECK(field != std::end(kFields));
  return value_of(*field, from, baseline);
}

std::string seconds(const timeval& time) {
  char text[48];
  std::snprintf(text, sizeof text, "%ld.%06ld", static_cast<long>(time.tv_sec), static_cast<long>(time.tv_usec));
  return text;
}

// Clients take a line apart at its blanks.
std::string one_word(std::string text) {
  if (text.empty()) return "NULL";
  std::ranges::replace_if(text, [](char c) { return c == ' ' || c == '\r' || c == '\n'; }, '_');
  return text;
}

std::string_view next_word(std::string_view& rest) {
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  const std::string_view word = rest.substr(0, rest.find(' '));
  rest.remove_prefix(word.size());
  return word;
}

void end(Reply& reply) { reply(Response::line(wire::kEnd)); }

}  // namespace

void StatsReport::answer(std::string_view arguments, const Time& now, Reply& reply) const {
  std::string_view rest = arguments;
  const std::string_view sub = next_word(rest);
  if (sub.empty()) return general(now, reply);
  if (sub == "settings") return settings(reply);
  if (sub == "items") return items(reply);
  if (sub == "slabs") return slabs(reply);
  if (sub == "memory") return memory(reply);
  if (sub == "conns") return connections(reply);
  if (sub == "detail") return detail(next_word(rest), reply);
  if (sub == "cachedump") return cachedump(rest, now, reply);
  if (sub == "sizes") {
    reply(Response::stat("sizes_status", "disabled"));
    return end(reply);
  }
  if (sub == "reset") {
    reset();
    return reply(Response::line(wire::kReset));
  }
  reply(Response::line(wire::kError));
}

void StatsReport::general(const Time& now, Reply& reply) const {
  const ServerState::Baseline baseline = state_.baseline();
  const Sources from = sources(state_, cache_, host_);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  reply(Response::stat("pid", static_cast<std::uint64_t>(getpid())));
  reply(Response::stat("uptime", from.host.uptime_sec));
  reply(Response::stat("time", static_cast<std::uint64_t>(now.unix_sec)));
  reply(Response::stat("version", from.settings.version));
  reply(Response::stat("event_engine", one_word(from.settings.engine)));
  reply(Response::stat("event_engine_reason", one_word(from.settings.engine_reason)));
  reply(Response::stat("pointer_size", sizeof(void*) * 8));
  reply(Response::stat("rusage_user", seconds(usage.ru_utime)));
  reply(Response::stat("rusage_system", seconds(usage.ru_stime)));
  for (const Field& field : kFields) reply(Response::stat(field.name, value_of(field, from, baseline)));
  end(reply);
}

void StatsReport::reset() const {
  const Sources from = sources(state_, cache_, host_);
  ServerState::Baseline now{};
  for (std::size_t i = 0; i < std::size(kFields); ++i) {
    if (kFields[i].resets) now[i] = kFields[i].read(from);
  }
  state_.reset_stats(now);
  state_.prefixes().clear();
}

void StatsReport::settings(Reply& reply) const {
  const HostSettings& host = host_.settings();
  const auto yes_no = [](bool value) { return value ? "yes" : "no"; };
  reply(Response::stat("maxbytes", cache_.stats().heap_bytes));
  reply(Response::stat("maxconns", host.max_connections));
  reply(Response::stat("tcpport", host.tcp_port));
  reply(Response::stat("udpport", 0));
  reply(Response::stat("inter", one_word(host.interface)));
  reply(Response::stat("verbosity", host_.verbosity()));
  reply(Response::stat("domain_socket", one_word(host.unix_socket)));
  reply(Response::stat("shutdown_command", yes_no(host.shutdown_enabled)));
  reply(Response::stat("evictions", cache_.stats().evicts ? "on" : "off"));
  reply(Response::stat("num_threads", host.threads));
  reply(Response::stat("stat_key_prefix", ":"));
  reply(Response::stat("detail_enabled", yes_no(state_.prefixes().enabled())));
  reply(Response::stat("cas_enabled", "yes"));
  reply(Response::stat("tcp_backlog", host.backlog));
  reply(Response::stat("binding_protocol", "ascii"));
  reply(Response::stat("auth_enabled_sasl", "no"));
  reply(Response::stat("auth_enabled_ascii", "no"));
  reply(Response::stat("item_size_max", cache_.stats().value_bytes_max));
  reply(Response::stat("maxconns_fast", "yes"));
  reply(Response::stat("slab_reassign", "no"));
  reply(Response::stat("slab_automove", 0));
  reply(Response::stat("lru_crawler", "no"));
  reply(Response::stat("lru_segmented", "no"));
  reply(Response::stat("idle_timeout", host.idle_timeout_sec));
  reply(Response::stat("flush_enabled", "yes"));
  reply(Response::stat("dump_enabled", "yes"));
  reply(Response::stat("hash_algorithm", "xxh3"));
  reply(Response::stat("track_sizes", "no"));
  reply(Response::stat("client_flags_size", sizeof(std::uint32_t)));
  reply(Response::stat("memory_file", "NULL"));
  reply(Response::stat("ssl_enabled", yes_no(!host.tls_certificate.empty())));
  if (!host.tls_certificate.empty()) {
    reply(Response::stat("ssl_chain_cert", one_word(host.tls_certificate)));
    reply(Response::stat("ssl_key", one_word(host.tls_private_key)));
    reply(Response::stat("ssl_verify_mode", host.tls_ca_file.empty() ? 0 : 2));
    reply(Response::stat("ssl_ca_cert", one_word(host.tls_ca_file)));
    reply(Response::stat("ssl_min_version", one_word(host.tls_min_version)));
  }
  reply(Response::stat("storage_execution", host.execution));
  reply(Response::stat("event_engine", one_word(host.engine)));
  end(reply);
}

void StatsReport::items(Reply& reply) const {
  const ServerState::Baseline baseline = state_.baseline();
  const Sources from = sources(state_, cache_, host_);
  if (from.store.items != 0) {
    reply(Response::stat("items:1:number", from.store.items));
    reply(Response::stat("items:1:age", from.store.oldest_age_sec));
    reply(Response::stat("items:1:mem_requested", from.store.live_bytes));
    reply(Response::stat("items:1:evicted", value_of("evictions", from, baseline)));
    reply(Response::stat("items:1:outofmemory", value_of("store_no_memory", from, baseline)));
    reply(Response::stat("items:1:tailrepairs", 0));
    reply(Response::stat("items:1:reclaimed", value_of("reclaimed", from, baseline)));
    reply(Response::stat("items:1:lrutail_reflocked", 0));
    reply(Response::stat("items:1:moves_to_cold", 0));
    reply(Response::stat("items:1:moves_to_warm", 0));
    reply(Response::stat("items:1:moves_within_lru", 0));
    reply(Response::stat("items:1:direct_reclaims", 0));
  }
  end(reply);
}

// A segment stands for a page of one chunk.
void StatsReport::slabs(Reply& reply) const {
  const ServerState::Baseline baseline = state_.baseline();
  const Sources from = sources(state_, cache_, host_);
  const std::uint64_t used = from.store.segments - from.store.segments_free;
  reply(Response::stat("1:chunk_size", from.store.segment_bytes));
  reply(Response::stat("1:chunks_per_page", 1));
  reply(Response::stat("1:total_pages", from.store.segments));
  reply(Response::stat("1:total_chunks", from.store.segments));
  reply(Response::stat("1:used_chunks", used));
  reply(Response::stat("1:free_chunks", from.store.segments_free));
  reply(Response::stat("1:free_chunks_end", 0));
  reply(Response::stat("1:get_hits", value_of("get_hits", from, baseline)));
  reply(Response::stat("1:cmd_set", value_of("cmd_set", from, baseline)));
  reply(Response::stat("1:delete_hits", value_of("delete_hits", from, baseline)));
  reply(Response::stat("1:incr_hits", value_of("incr_hits", from, baseline)));
  reply(Response::stat("1:decr_hits", value_of("decr_hits", from, baseline)));
  reply(Response::stat("1:cas_hits", value_of("cas_hits", from, baseline)));
  reply(Response::stat("1:cas_badval", value_of("cas_badval", from, baseline)));
  reply(Response::stat("1:touch_hits", value_of("touch_hits", from, baseline)));
  reply(Response::stat("active_slabs", 1));
  reply(Response::stat("total_malloced", from.store.heap_bytes));
  end(reply);
}

void StatsReport::memory(Reply& reply) const {
  for (const metrics::MemoryPart& part : metrics::memory_parts(metrics::snapshot())) {
    reply(Response::stat(part.name, static_cast<std::uint64_t>(part.bytes)));
  }
  end(reply);
}

void StatsReport::connections(Reply& reply) const {
  host_.connections(kConnectionsMax, [&](const HostConnection& connection) {
    const std::string fd = std::to_string(connection.fd);
    reply(Response::stat(fd + ":addr", connection.address));
    if (!connection.listen_address.empty()) reply(Response::stat(fd + ":listen_addr", connection.listen_address));
    reply(Response::stat(fd + ":state", connection.state));
    reply(Response::stat(fd + ":secs_since_last_cmd", connection.idle_sec));
    if (!connection.tls_version.empty()) reply(Response::stat(fd + ":tls", connection.tls_version));
    if (!connection.tls_peer.empty())
      reply(Response::stat(fd + ":tls_peer", one_word(std::string(connection.tls_peer))));
  });
  end(reply);
}

void StatsReport::detail(std::string_view word, Reply& reply) const {
  if (word == "on" || word == "off") {
    state_.prefixes().enable(word == "on");
    return reply(Response::line(wire::kOk));
  }
  if (word != "dump") return reply(Response::line(wire::kBadDetail));
  state_.prefixes().each([&](std::string_view prefix, const Prefixes::Counts& counts) {
    std::string line = "PREFIX ";
    line.append(prefix).append(" get ").append(std::to_string(counts.gets));
    line.append(" hit ").append(std::to_string(counts.hits)).append(" set ").append(std::to_string(counts.sets));
    line.append(" del ").append(std::to_string(counts.deletes)).append("\r\n");
    reply(Response::line(line));
  });
  end(reply);
}

// cachedump <class> <limit>: 0 is no limit but the one on bytes.
void StatsReport::cachedump(std::string_view arguments, const Time& now, Reply& reply) const {
  const std::string_view class_word = next_word(arguments);
  const std::string_view limit_word = next_word(arguments);
  if (limit_word.empty()) return reply(Response::line(wire::kBadLine));
  const auto slab_class = parse_decimal<std::uint32_t>(class_word);
  const auto limit = parse_decimal<std::uint32_t>(limit_word);
  if (!slab_class || !limit) return reply(Response::line(wire::kBadFormat));
  if (*slab_class >= kSlabClasses) return reply(Response::line(wire::kIllegalSlab));
  if (*slab_class == kOnlyClass) {
    std::size_t bytes = 0;
    std::string line;
    cache_.visit(*limit == 0 ? SegCache::kVisitScanMax : *limit, [&](const storage::segcache::Item& item) {
      const std::int64_t expires =
          item.expire_at == 0 ? 0 : now.unix_sec + std::int64_t{item.expire_at} - std::int64_t{now.ceil_sec};
      line.assign("ITEM ").append(item.key).append(" [").append(std::to_string(item.value.size()));
      line.append(" b; ").append(std::to_string(expires)).append(" s]\r\n");
      bytes += line.size();
      if (bytes > kDumpBytesMax) return false;
      reply(Response::line(line));
      return true;
    });
  }
  end(reply);
}

}  // namespace pelikan::backend::memcache
