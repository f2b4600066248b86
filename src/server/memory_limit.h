// How much of a limit on the whole process is left for the storage: docs/storage.md has the reasons for the numbers.
// Owner: main. Threads: before any thread starts. Failure: config::Error, one line, when the limit is too small.
#pragma once

#include <cstdint>

#include "server/launch.h"

namespace pelikan::server {

// What the process may need beside its storage, with every connection and buffer that the settings allow.
[[nodiscard]] std::uint64_t memory_beside_storage(const Settings& settings);

// What is left of `limit_bytes`, at least `storage_bytes_min`. Chooses server.buffer_memory unless it was set, and
// tells malloc to give large blocks back.
[[nodiscard]] std::uint64_t limit_memory(Settings& settings, std::uint64_t limit_bytes,
                                         std::uint64_t storage_bytes_min);

}  // namespace pelikan::server
