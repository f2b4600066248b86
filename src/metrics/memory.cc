#include "metrics/memory.h"

#include <malloc.h>

#include <algorithm>

#include "metrics/process.h"

namespace pelikan::metrics {
namespace {

constexpr const char* kAllocated = "memory_allocated_bytes";
constexpr const char* kFree = "memory_free_bytes";
constexpr const char* kCode = "memory_code_bytes";
constexpr const char* kFixed = "memory_fixed_bytes";

struct MallocUse {
  std::int64_t in_use = 0;
  std::int64_t free = 0;  // given back to malloc, not to the system
};

MallocUse malloc_use() {
  const struct mallinfo2 info = ::mallinfo2();
  return {.in_use = static_cast<std::int64_t>(info.uordblks + info.hblkhd),
          .free = static_cast<std::int64_t>(info.fordblks)};
}

std::int64_t counted_bytes(const Snapshot& snapshot) {
  return snapshot.value("heap_bytes") + snapshot.value("hash_bytes") + snapshot.value("policy_bytes");
}

}  // namespace

MemoryCollector::MemoryCollector()
    : collector_([this](std::vector<Collector::Value>& out) {
        const MallocUse use = malloc_use();
        const auto gauge = [&out](const char* name, const char* help, std::int64_t value) {
          out.push_back({{name, help, Kind::kGauge, Unit::kPlain}, value});
        };
        gauge(kAllocated, "memory handed out by malloc since the start: sessions, their TLS state and buffers",
              std::max<std::int64_t>(0, use.in_use - malloc_at_start_bytes_.load(std::memory_order_relaxed)));
        gauge(kFree, "memory that malloc keeps for later", use.free);
        gauge(kCode, "resident pages of the program and its libraries", resident_memory().file_bytes);
        gauge(kFixed, "what was resident at the start beside the storage: stacks, tables, metrics, log",
              fixed_bytes_.load(std::memory_order_relaxed));
      }) {}

void MemoryCollector::mark() {
  const std::int64_t counted = counted_bytes(snapshot());
  const MallocUse use = malloc_use();
  const ResidentMemory resident = resident_memory();
  malloc_at_start_bytes_.store(use.in_use, std::memory_order_relaxed);
  fixed_bytes_.store(std::max<std::int64_t>(0, resident.bytes - resident.file_bytes - use.free - counted),
                     std::memory_order_relaxed);
}

std::vector<MemoryPart> memory_parts(const Snapshot& snapshot) {
  const std::int64_t buffers = snapshot.value("session_buffer_byte");
  std::vector<MemoryPart> parts = {
      {"heap", snapshot.value("heap_bytes")},
      {"index", snapshot.value("hash_bytes")},
      {"ghost", snapshot.value("policy_bytes")},
      {"buffers", buffers},
      {"connections", std::max<std::int64_t>(0, snapshot.value(kAllocated) - buffers)},
      {"free", snapshot.value(kFree)},
      {"code", snapshot.value(kCode)},
      {"fixed", snapshot.value(kFixed)},
  };
  std::int64_t total = 0;
  for (const MemoryPart& part : parts) total += part.bytes;
  parts.push_back({"total", total});
  parts.push_back({"resident", resident_memory().bytes});
  return parts;
}

}  // namespace pelikan::metrics
