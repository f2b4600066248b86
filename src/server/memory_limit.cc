#include "server/memory_limit.h"

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>

#include "config/config.h"

namespace pelikan::server {
namespace {

using config::kKiB;
using config::kMiB;

constexpr std::uint64_t kProgramBytes = 24 * kMiB;
constexpr std::uint64_t kThreadBytes = 10 * kMiB;
constexpr std::uint64_t kTlsThreadBytes = 5 * kMiB;  // more
constexpr std::uint64_t kConnectionBytes = 1 * kKiB;
constexpr std::uint64_t kTlsConnectionBytes = 16 * kKiB;
constexpr std::uint64_t kHandshakeBytes = 64 * kKiB;
constexpr std::uint64_t kBuffersPart = 16;        // of the limit
constexpr std::uint64_t kBuffersMin = 16 * kMiB;  // one client may send 4 MB in a turn, and buffers double
constexpr std::uint64_t kBuffersMax = 256 * kMiB;
constexpr int kMappedFromBytes = 128 * 1024;

}  // namespace

std::uint64_t memory_beside_storage(const Settings& settings) {
  const core::CoreOptions& core = settings.core;
  const bool tls = !settings.tls.certificate().empty() || !settings.tls.certificate_chain().empty();
  const std::uint64_t threads = core.worker.threads() + core.listener.threads() + 1;  // the storage thread
  const std::uint64_t handshakes = tls ? core.listener.threads() * core.listener.max_handshakes() : 0;
  const std::uint64_t buffers = core.server.buffer_memory();
  return kProgramBytes + threads * (kThreadBytes + (tls ? kTlsThreadBytes : 0)) +
         core.server.max_connections() * (tls ? kTlsConnectionBytes : kConnectionBytes) + handshakes * kHandshakeBytes +
         buffers + buffers / 2;
}

std::uint64_t limit_memory(Settings& settings, std::uint64_t limit_bytes, std::uint64_t storage_bytes_min) {
  auto& buffers = settings.core.server.buffer_memory;
  if (!buffers.is_set()) buffers.set(std::clamp(limit_bytes / kBuffersPart, kBuffersMin, kBuffersMax));
  const std::uint64_t beside = memory_beside_storage(settings);
  if (limit_bytes < beside + storage_bytes_min) {
    throw config::Error(fmt::format(
        "server.memory_limit = {}: {} may be needed beside the storage, so it must be {} at least; or lower "
        "server.max_connections, server.buffer_memory or worker.threads",
        limit_bytes, beside, beside + storage_bytes_min));
  }
  (void)::mallopt(M_MMAP_THRESHOLD, kMappedFromBytes);
  return limit_bytes - beside;
}

}  // namespace pelikan::server
