// One request of the memcached text protocol, as the parser found it: a command that can be executed, or one that can
// only be refused, with the reason. The views point into the bytes given to parse().
#pragma once

#include <cstdint>
#include <string_view>

namespace pelikan::protocol::memcache {

inline constexpr std::size_t kKeyBytesMax = 250;

enum class Command : std::uint8_t {
  // Reads: one Request per key.
  kGet,
  kGets,
  kGat,
  kGats,
  // Stores: with a data block.
  kSet,
  kAdd,
  kReplace,
  kAppend,
  kPrepend,
  kCas,
  kAppendrl,
  kPrependrl,
  // The rest: one line.
  kDelete,
  kIncr,
  kDecr,
  kTouch,
  kFlushAll,
  kVerbosity,
  kCacheMemlimit,
  kVersion,
  kQuit,
  kShutdown,
  kStats,
  kUnknown,
  kBinary,  // the first request of a binary-protocol client: always refused
};
inline constexpr std::size_t kCommands = static_cast<std::size_t>(Command::kBinary) + 1;

[[nodiscard]] constexpr bool is_read(Command command) noexcept { return command <= Command::kGats; }
[[nodiscard]] constexpr bool is_store(Command command) noexcept {
  return command >= Command::kSet && command <= Command::kPrependrl;
}

// Why a request is answered instead of executed.
enum class Refusal : std::uint8_t {
  kNone,
  kUnknownCommand,
  kBadFormat,
  kBadChunk,
  kBadExptime,
  kBadDelta,
  kTooLarge,  // more data than any item may have; a set still removes the old value
  kBadShutdownMode,
  kBinary,
};

struct Request {
  Command command = Command::kUnknown;
  Refusal refusal = Refusal::kNone;
  bool noreply = false;
  // Of the keys of a multi-key read.
  bool first_key = true;
  bool last_key = true;
  bool graceful = false;  // shutdown

  std::uint32_t flags = 0;
  // As sent: 0 never, up to 30 days relative, beyond that absolute, negative already over. The delay of flush_all.
  std::int32_t exptime = 0;
  std::uint64_t number =
      0;  // cas: the token; incr and decr: the delta; verbosity: the level; cache_memlimit: megabytes;
          // binary: opcode << 32 | opaque
  std::string_view key;
  std::uint64_t key_hash = 0;  // 0: not known; for whoever executes the request to fill in
  std::string_view value;
  std::string_view arguments;  // stats: what follows the command
};

}  // namespace pelikan::protocol::memcache
