// A run of address space reserved once, of which a front part that only grows is memory. So an array can grow without
// moving.
//
// Owner:   the heap or the index. Threads: one at a time, but for what says otherwise.
// Failure: the constructor and prefault() throw std::runtime_error; commit() says no and changes nothing; what cannot
//          be populated is touched as any memory is.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <mutex>

namespace pelikan::storage::segcache {

class Region {
 public:
  // `what` names it in the message: "the heap". So many bytes are used from the start, and may become real as they are
  // touched.
  Region(std::size_t reserve_bytes, const char* what, std::size_t used_bytes = 0);
  ~Region();
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  // Makes at least the first `bytes` memory, zeroed where it is new. Never takes memory away.
  [[nodiscard]] bool commit(std::size_t bytes) noexcept;
  // What is committed becomes real a page at a time as it is touched, and whoever touches it waits for the kernel. So a
  // thread that may wait makes it real before: an eighth of what is used, at least 2 MB and at most 8 MB, in huge pages
  // if the kernel has some. With the first gap that ends.
  // Commits as much as that needs, and far more, so that it is seldom done.
  void commit_ahead(std::size_t used_bytes) noexcept;
  // Whether less than that is real although more is committed. Any thread.
  [[nodiscard]] bool runs_short(std::size_t used_bytes) const noexcept {
    return populated_bytes_.load(std::memory_order_relaxed) <
               std::min(used_bytes + ahead_bytes(used_bytes), populated_bytes_max()) &&
           !has_gaps_.load(std::memory_order_relaxed);
  }
  // If it runs short, makes at most 2 MB real, which takes the kernel from a tenth of a millisecond to several. False
  // if not. Any thread, one at a time.
  bool populate(std::size_t used_bytes) noexcept;
  // Commits the first `bytes`, rounded up, and makes them real at once, in huge pages where the kernel has some. Takes
  // a second for every few gigabytes. How many bytes it was. REQUIRES: nothing was given back.
  std::size_t prefault(std::size_t bytes);

  // Takes the whole pages of that part from the process: they are real again, and zero, when they are touched. From the
  // first time on nothing is populated, and the kernel joins no small pages to huge ones: that would fill the gaps.
  void give_back(std::size_t from, std::size_t bytes) noexcept;
  [[nodiscard]] static std::size_t whole_pages_bytes(std::size_t from, std::size_t bytes) noexcept {
    const std::size_t first = (from + kPageBytes - 1) / kPageBytes * kPageBytes;
    const std::size_t end = (from + bytes) / kPageBytes * kPageBytes;
    return end > first ? end - first : 0;
  }

  // What is real when the first `used_bytes` were touched and nothing was given back. Any thread.
  [[nodiscard]] std::size_t real_bytes(std::size_t used_bytes) const noexcept {
    return std::max(used_bytes, populated_bytes_.load(std::memory_order_relaxed));
  }

  [[nodiscard]] char* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t reserved_bytes() const noexcept { return reserved_bytes_; }
  [[nodiscard]] bool contains(const void* address) const noexcept {
    const char* at = static_cast<const char*>(address);
    return at >= data_ && at < data_ + reserved_bytes_;
  }

 private:
  static constexpr std::size_t kStepBytes = std::size_t{1} << 20;
  static constexpr std::size_t kPageBytes = 4096;
  static constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;

  [[nodiscard]] static std::size_t ahead_bytes(std::size_t used_bytes) noexcept {
    return std::clamp(used_bytes / 8, kHugePageBytes, 4 * kHugePageBytes);
  }
  // The kernel makes one mapping of neighbours only if they were one before. So what is committed next must first grow
  // together with what was not advised; with mappings of 2 MB there would soon be more than it allows.
  [[nodiscard]] std::size_t populated_bytes_max() const noexcept {
    const std::size_t committed = committed_bytes_.load(std::memory_order_relaxed);
    if (committed == reserved_bytes_) return committed;
    return committed / kHugePageBytes > 1 ? (committed / kHugePageBytes - 1) * kHugePageBytes : 0;
  }

  const char* what_;
  char* data_ = nullptr;
  std::size_t reserved_bytes_ = 0;
  std::atomic<std::size_t> committed_bytes_{0};
  std::atomic<std::size_t> populated_bytes_{0};
  std::atomic<bool> has_gaps_{false};
  std::mutex populating_;
};

}  // namespace pelikan::storage::segcache
