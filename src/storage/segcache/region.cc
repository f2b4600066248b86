#include "storage/segcache/region.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace pelikan::storage::segcache {

Region::Region(std::size_t reserve_bytes, const char* what)
    : reserved_bytes_((reserve_bytes + kStepBytes - 1) / kStepBytes * kStepBytes) {
  void* at = ::mmap(nullptr, reserved_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) {
    throw std::runtime_error(
        fmt::format("cannot reserve {} bytes for {}: {}", reserved_bytes_, what, std::strerror(errno)));
  }
  data_ = static_cast<char*>(at);
  // Fewer TLB misses per random access; small regions would only waste the rest of a huge page.
  if (reserved_bytes_ >= kHugePagesFromBytes) (void)::madvise(data_, reserved_bytes_, MADV_HUGEPAGE);
}

Region::~Region() { ::munmap(data_, reserved_bytes_); }

bool Region::commit(std::size_t bytes) noexcept {
  if (bytes <= committed_bytes_) return true;
  if (bytes > reserved_bytes_) return false;
  const std::size_t target = std::min((bytes + kStepBytes - 1) / kStepBytes * kStepBytes, reserved_bytes_);
  if (::mprotect(data_ + committed_bytes_, target - committed_bytes_, PROT_READ | PROT_WRITE) != 0) return false;
  committed_bytes_ = target;
  return true;
}

}  // namespace pelikan::storage::segcache
