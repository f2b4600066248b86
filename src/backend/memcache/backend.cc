#include "backend/memcache/backend.h"

#include <algorithm>

#include "backend/memcache/decide.h"

namespace pelikan::backend::memcache {
namespace {

using protocol::memcache::Command;
using protocol::memcache::Refusal;
using protocol::memcache::Request;
using protocol::memcache::Response;
using storage::segcache::Item;
using storage::segcache::Verdict;
using storage::segcache::WriteResult;
namespace wire = protocol::memcache;

constexpr std::int32_t kRelativeSecMax = 60 * 60 * 24 * 30;
constexpr std::uint32_t kNever = 0;
constexpr std::uint32_t kPast = 1;  // before any second the clock shows
constexpr std::uint64_t kVerbosityMax = 2;
constexpr std::uint64_t kMemlimitMegabytesMin = 8;
constexpr std::uint64_t kMemlimitMegabytesMax = 1'000'000'000;

// A client's exptime as a second of the monotonic clock.
std::uint32_t deadline_of(std::int32_t exptime, const Time& now, TimeType type) noexcept {
  if (exptime == 0) return kNever;
  if (exptime < 0) return kPast;
  const bool relative = type == TimeType::kDelta || (type == TimeType::kMemcache && exptime <= kRelativeSecMax);
  if (relative) return now.ceil_sec + static_cast<std::uint32_t>(exptime);
  const std::int64_t at_sec = exptime + now.unix_to_mono_sec;
  return at_sec <= std::int64_t{now.floor_sec} ? kPast : static_cast<std::uint32_t>(at_sec);
}

std::string_view text_of(Refusal refusal) noexcept {
  switch (refusal) {
    case Refusal::kBadFormat: return wire::kBadFormat;
    case Refusal::kBadChunk: return wire::kBadChunk;
    case Refusal::kBadExptime: return wire::kBadExptime;
    case Refusal::kBadDelta: return wire::kBadDelta;
    case Refusal::kTooLarge: return wire::kTooLarge;
    case Refusal::kBadShutdownMode: return wire::kBadShutdownMode;
    case Refusal::kNone:
    case Refusal::kUnknownCommand:
    case Refusal::kBinary: break;
  }
  return wire::kError;
}

storage::segcache::Key key_of(const Request& request) noexcept { return {request.key, request.key_hash}; }

void answer(const Request& request, MemcacheBackend::Reply& reply, std::string_view line) {
  if (!request.noreply) reply(Response::line(line));
}

}  // namespace

MemcacheBackend::MemcacheBackend(SegCache& cache, ServerState& state, Host& host, const Time& start, TimeType time_type)
    : cache_(cache),
      state_(state),
      host_(host),
      counters_(state.add_counters()),
      prefixes_(state.prefixes()),
      stats_(cache, host, state),
      now_(start),
      time_type_(time_type) {}

void MemcacheBackend::turn(const Time& now) noexcept {
  now_ = now;
  state_.flush_if_due(now.floor_sec, [this] { cache_.flush(); });  // while this thread still rests
  cache_.turn(now);
}

void MemcacheBackend::flush_all() noexcept {
  state_.flush_now([this] { cache_.flush(); });
}

void MemcacheBackend::look_ahead(std::span<Request> requests) const noexcept {
  for (Request& request : requests) {
    if (!request.key.empty()) request.key_hash = cache_.prefetch(request.key);
  }
  for (const Request& request : requests) {
    if (request.key_hash != 0) cache_.prefetch_item(request.key_hash);
  }
}

void MemcacheBackend::execute(const Request& request, Reply& reply) {
  if (request.refusal != Refusal::kNone) [[unlikely]]
    return refuse(request, reply);
  switch (request.command) {
    case Command::kGet: return read<Command::kGet>(request, reply);
    case Command::kGets: return read<Command::kGets>(request, reply);
    case Command::kGat: return read<Command::kGat>(request, reply);
    case Command::kGats: return read<Command::kGats>(request, reply);
    case Command::kSet:
    case Command::kAdd:
    case Command::kReplace:
    case Command::kAppend:
    case Command::kPrepend:
    case Command::kCas:
    case Command::kAppendrl:
    case Command::kPrependrl: return store(request, reply);
    case Command::kDelete: return erase(request, reply);
    case Command::kIncr:
    case Command::kDecr: return change_number(request, reply);
    case Command::kTouch: return touch(request, reply);
    case Command::kFlushAll: return flush_all(request, reply);
    case Command::kVerbosity:
      counters_.other.add();
      host_.set_verbosity(static_cast<unsigned>(std::min(request.number, kVerbosityMax)));
      return answer(request, reply, wire::kOk);
    case Command::kCacheMemlimit: return set_memory_limit(request, reply);
    case Command::kVersion:
      counters_.version.add();
      return reply({.kind = Response::Kind::kVersion, .text = host_.settings().version});
    case Command::kQuit: counters_.quit.add(); return reply.close();
    case Command::kShutdown: return shutdown(request, reply);
    case Command::kStats: counters_.stats.add(); return stats_.answer(request.arguments, now_, reply);
    case Command::kUnknown:
    case Command::kBinary: break;
  }
  refuse(request, reply);
}

void MemcacheBackend::refuse(const Request& request, Reply& reply) {
  if (request.refusal == Refusal::kTooLarge) return store_too_large(request, reply);
  count_refused(request);
  if (request.refusal == Refusal::kBinary) {
    reply({.kind = Response::Kind::kBinary, .number = request.number});
    return reply.close();
  }
  // Whether shutdown is allowed comes before how it was spelt.
  if (request.refusal == Refusal::kBadShutdownMode && !host_.settings().shutdown_enabled) {
    return answer(request, reply, wire::kShutdownDisabled);
  }
  answer(request, reply, text_of(request.refusal));
}

void MemcacheBackend::count_refused(const Request& request) noexcept {
  const auto count = [](auto& counters) {
    counters.commands.add();
    counters.refused.add();
  };
  if (is_read(request.command)) return count(counters_.read(request.command));
  if (request.refusal == Refusal::kBadChunk)
    return counters_.store(request.command).commands.add();  // memory was there
  if (is_store(request.command)) return count(counters_.store(request.command));
  switch (request.command) {
    case Command::kDelete: return count(counters_.erase);
    case Command::kIncr: return count(counters_.incr);
    case Command::kDecr: return count(counters_.decr);
    case Command::kTouch: return count(counters_.touch);
    case Command::kFlushAll: counters_.flush_all.add(); return counters_.flush_all_ex.add();
    case Command::kBinary: return counters_.binary.add();
    case Command::kUnknown: return counters_.unknown.add();
    default: return counters_.other.add();
  }
}

template <Command Which>
void MemcacheBackend::read(const Request& request, Reply& reply) {
  ReadCounters& counters = counters_.read(Which);
  if (request.first_key) counters.commands.add();
  counters.keys.add();
  const bool hit = send_value<Which>(request, reply);
  (hit ? counters.hits : counters.misses).add();
  prefixes_.count_get(request.key, hit);
  if (!hit && request.last_key) reply(Response::line(wire::kEnd));
}

template <Command Which>
bool MemcacheBackend::send_value(const Request& request, Reply& reply) {
  constexpr bool kTouches = Which == Command::kGat || Which == Command::kGats;
  constexpr bool kWithCas = Which == Command::kGets || Which == Command::kGats;
  const std::uint32_t expire_at = kTouches ? deadline_of(request.exptime, now_, time_type_) : kNever;
  const auto send = [&](const Item& item) {
    // The value word by word: a copy of both at once would wait until both are stored.
    reply({.kind = kWithCas ? Response::Kind::kValueCas : Response::Kind::kValue,
           .flags = item.flags,
           .number = item.cas,
           .key = request.key,
           .text = {item.value.data(), item.value.size()},
           .last = request.last_key});
  };
  if (kTouches && expire_at == kPast) {  // in one step, so that what goes is what was sent
    bool found = false;
    (void)cache_.write(key_of(request), [&](const Item* current) {
      found = current != nullptr;
      if (found) send(*current);
      return Verdict::erase();
    });
    return found;
  }
  // First the new expiry, then the value: writing the expiry may give the item a new token.
  if (kTouches) (void)cache_.touch(key_of(request), expire_at);
  const auto item = cache_.get(key_of(request));
  if (item) send(*item);
  return item.has_value();
}

void MemcacheBackend::store(const Request& request, Reply& reply) {
  if (!cache_.fits(request.key.size(), request.value.size())) return store_too_large(request, reply);
  StoreCounters& counters = counters_.store(request.command);
  counters.commands.add();
  prefixes_.count_set(request.key);

  StoreDecision decision(request, deadline_of(request.exptime, now_, time_type_));
  const WriteResult result = cache_.write(key_of(request), decision);
  std::string_view outcome = decision.outcome();
  switch (result.status) {
    case WriteResult::Status::kNoSpace: return store_without_room(request, reply);
    case WriteResult::Status::kTooLarge:  // only what append and prepend would have made of it
      outcome = wire::kNotStored;
      break;
    case WriteResult::Status::kStored:
      counters.stored.add();
      if (request.command < Command::kAppendrl) break;
      if (!request.noreply) reply(Response::of_number(decision.bytes()));
      return;
    default: break;
  }
  if (result.status != WriteResult::Status::kStored) {
    (outcome == wire::kExists ? counters_.cas_exists : counters.not_stored).add();
  }
  answer(request, reply, outcome);
}

// A set that fails takes the old value with it, so that nobody goes on reading what was to be replaced.
void MemcacheBackend::store_too_large(const Request& request, Reply& reply) {
  count_refused(request);
  counters_.too_large.add();
  if (request.command == Command::kSet) (void)cache_.erase(key_of(request));
  answer(request, reply, wire::kTooLarge);
}

void MemcacheBackend::store_without_room(const Request& request, Reply& reply) {
  counters_.store(request.command).refused.add();
  counters_.no_memory.add();
  if (request.command == Command::kSet) (void)cache_.erase(key_of(request));
  answer(request, reply, wire::kNoMemoryStoring);
}

void MemcacheBackend::change_number(const Request& request, Reply& reply) {
  const bool up = request.command == Command::kIncr;
  KeyedCounters& counters = up ? counters_.incr : counters_.decr;
  counters.commands.add();

  NumberDecision decision(up, request.number);
  const WriteResult result = cache_.write(key_of(request), decision);
  if (!decision.found()) {
    counters.misses.add();
    return answer(request, reply, wire::kNotFound);
  }
  if (result.status != WriteResult::Status::kStored) {
    counters.refused.add();
    return answer(request, reply, decision.number() ? wire::kNoMemory : wire::kNonNumeric);
  }
  counters.hits.add();
  if (!request.noreply) reply(Response::of_number(*decision.number()));
}

void MemcacheBackend::erase(const Request& request, Reply& reply) {
  counters_.erase.commands.add();
  prefixes_.count_delete(request.key);
  const bool erased = cache_.erase(key_of(request));
  (erased ? counters_.erase.hits : counters_.erase.misses).add();
  answer(request, reply, erased ? wire::kDeleted : wire::kNotFound);
}

void MemcacheBackend::touch(const Request& request, Reply& reply) {
  counters_.touch.commands.add();
  const std::uint32_t expire_at = deadline_of(request.exptime, now_, time_type_);
  const bool touched = expire_at == kPast ? cache_.erase(key_of(request)) : cache_.touch(key_of(request), expire_at);
  (touched ? counters_.touch.hits : counters_.touch.misses).add();
  answer(request, reply, touched ? wire::kTouched : wire::kNotFound);
}

// A delay of N seconds ends one second early, as memcached's does.
void MemcacheBackend::flush_all(const Request& request, Reply& reply) noexcept {
  counters_.flush_all.add();
  std::uint32_t at_sec = 0;
  if (request.exptime > kRelativeSecMax) {
    at_sec = deadline_of(request.exptime, now_, TimeType::kMemcache) - 1;
  } else if (request.exptime > 0) {
    at_sec = now_.floor_sec + static_cast<std::uint32_t>(request.exptime) - 1;
  }
  if (at_sec <= now_.floor_sec) {
    flush_all();
  } else {
    state_.flush_later(at_sec);
  }
  answer(request, reply, wire::kOk);
}

// The heap does not change its size while it is in use: only the size it has can be asked for.
void MemcacheBackend::set_memory_limit(const Request& request, Reply& reply) {
  counters_.other.add();
  if (request.number < kMemlimitMegabytesMin) return answer(request, reply, wire::kMemlimitTooSmall);
  if (request.number > kMemlimitMegabytesMax) return answer(request, reply, wire::kMemlimitNotMegabytes);
  const bool as_it_is = request.number == cache_.stats().heap_bytes >> 20;
  answer(request, reply, as_it_is ? wire::kOk : wire::kMemlimitFailed);
}

void MemcacheBackend::shutdown(const Request& request, Reply& reply) {
  counters_.other.add();
  if (!host_.settings().shutdown_enabled) return answer(request, reply, wire::kShutdownDisabled);
  reply.close();
  host_.shutdown(request.graceful);
}

}  // namespace pelikan::backend::memcache
