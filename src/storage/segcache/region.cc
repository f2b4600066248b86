#include "storage/segcache/region.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <limits>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "base/check.h"

namespace pelikan::storage::segcache {
namespace {

// What the machine can give without swapping. A kernel asked for more ends a process instead of saying no.
std::size_t available_bytes() {
  std::ifstream file("/proc/meminfo");
  std::string name;
  for (std::size_t kib = 0; file >> name >> kib; file.ignore(std::numeric_limits<std::streamsize>::max(), '\n')) {
    if (name == "MemAvailable:") return kib << 10;
  }
  return std::numeric_limits<std::size_t>::max();
}

// A thread clears one to three gigabytes a second, two nearly twice as much. 0, or the errno of the first refusal.
int populate_all(char* data, std::size_t bytes) {
  constexpr std::size_t kChunkBytes = std::size_t{64} << 20;
  constexpr std::size_t kThreadsMax = 8;
  std::atomic<std::size_t> next{0};
  std::atomic<int> refused{0};
  const auto work = [&] {
    while (refused.load(std::memory_order_relaxed) == 0) {
      const std::size_t from = next.fetch_add(kChunkBytes, std::memory_order_relaxed);
      if (from >= bytes) return;
      if (::madvise(data + from, std::min(kChunkBytes, bytes - from), MADV_POPULATE_WRITE) != 0) {
        refused.store(errno, std::memory_order_relaxed);
      }
    }
  };
  const std::size_t chunks = (bytes + kChunkBytes - 1) / kChunkBytes;
  const auto threads = std::min<std::size_t>({std::thread::hardware_concurrency(), kThreadsMax, chunks});
  std::vector<std::jthread> helpers;
  const auto add_helper = [&] {
    try {
      helpers.emplace_back(work);
      return true;
    } catch (const std::system_error&) {
      return false;  // fewer will do
    }
  };
  while (helpers.size() + 1 < threads && add_helper()) continue;
  work();
  helpers.clear();  // waits for them
  return refused.load(std::memory_order_relaxed);
}

}  // namespace

Region::Region(std::size_t reserve_bytes, const char* what, std::size_t used_bytes)
    : what_(what),
      reserved_bytes_((reserve_bytes + kStepBytes - 1) / kStepBytes * kStepBytes),
      populated_bytes_(used_bytes / kHugePageBytes * kHugePageBytes) {
  const std::size_t spare_bytes = kHugePageBytes;
  void* at =
      ::mmap(nullptr, reserved_bytes_ + spare_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) {
    throw std::runtime_error(
        fmt::format("cannot reserve {} bytes for {}: {}", reserved_bytes_, what, std::strerror(errno)));
  }
  const std::size_t before_bytes = -reinterpret_cast<std::uintptr_t>(at) % kHugePageBytes;
  data_ = static_cast<char*>(at) + before_bytes;
  if (before_bytes > 0) ::munmap(at, before_bytes);
  ::munmap(data_ + reserved_bytes_, spare_bytes - before_bytes);
  (void)::madvise(data_, reserved_bytes_, MADV_NOHUGEPAGE);  // not from the first touch: see populate()
}

Region::~Region() { ::munmap(data_, reserved_bytes_); }

bool Region::commit(std::size_t bytes) noexcept {
  const std::size_t committed = committed_bytes_.load(std::memory_order_relaxed);
  if (bytes <= committed) return true;
  if (bytes > reserved_bytes_) return false;
  const std::size_t target = std::min((bytes + kStepBytes - 1) / kStepBytes * kStepBytes, reserved_bytes_);
  if (::mprotect(data_ + committed, target - committed, PROT_READ | PROT_WRITE) != 0) return false;
  committed_bytes_.store(target, std::memory_order_relaxed);
  return true;
}

void Region::commit_ahead(std::size_t used_bytes) noexcept {
  constexpr std::size_t kCommitBytes = std::size_t{64} << 20;
  const std::size_t needed = std::min(used_bytes + ahead_bytes(used_bytes) + 2 * kHugePageBytes, reserved_bytes_);
  if (needed <= committed_bytes_.load(std::memory_order_relaxed)) return;
  (void)(commit(std::min(used_bytes + kCommitBytes, reserved_bytes_)) || commit(needed));
}

bool Region::populate(std::size_t used_bytes) noexcept {
  const std::scoped_lock lock(populating_);
  if (!runs_short(used_bytes)) return false;
  const std::size_t from = populated_bytes_.load(std::memory_order_relaxed);
  const std::size_t bytes = std::min(kHugePageBytes - from % kHugePageBytes, populated_bytes_max() - from);
  // Whoever touches memory for which a huge page is wanted waits for all of it. So where that may happen before it is
  // ready it comes in small ones, and the kernel may join them later.
  const bool in_use = from < used_bytes + kStepBytes;
  if (!in_use) (void)::madvise(data_ + from, bytes, MADV_HUGEPAGE);
  (void)::madvise(data_ + from, bytes, MADV_POPULATE_WRITE);
  if (in_use) (void)::madvise(data_ + from, bytes, MADV_HUGEPAGE);
  populated_bytes_.store(from + bytes, std::memory_order_relaxed);
  return true;
}

std::size_t Region::prefault(std::size_t bytes) {
  CHECK(!has_gaps_.load());
  const std::size_t end = (std::min(bytes, reserved_bytes_) + kStepBytes - 1) / kStepBytes * kStepBytes;
  if (const std::size_t available = available_bytes(); end > available) {
    throw std::runtime_error(
        fmt::format("seg.prefault: {} takes {} bytes of memory, and {} are available", what_, end, available));
  }
  int refused = commit(end) ? 0 : errno;
  if (refused == 0) {
    (void)::madvise(data_, end, MADV_HUGEPAGE);  // small pages will do
    refused = populate_all(data_, end);
  }
  if (refused != 0) {
    throw std::runtime_error(
        fmt::format("seg.prefault: cannot have {} bytes of memory for {}: {}", end, what_, std::strerror(refused)));
  }
  populated_bytes_.store(end, std::memory_order_relaxed);
  return end;
}

void Region::give_back(std::size_t from, std::size_t bytes) noexcept {
  if (!has_gaps_.exchange(true)) {
    const std::scoped_lock lock(populating_);  // once: for a step that is under way
    (void)::madvise(data_, reserved_bytes_, MADV_NOHUGEPAGE);
  }
  const std::size_t first = (from + kPageBytes - 1) / kPageBytes * kPageBytes;
  (void)::madvise(data_ + first, whole_pages_bytes(from, bytes), MADV_DONTNEED);
}

}  // namespace pelikan::storage::segcache
