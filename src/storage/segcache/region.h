// A run of address space reserved once, of which a front part that only grows is memory. So an array can grow without
// moving.
// Owner: the heap or the index. Failure: the constructor and prefault() throw std::runtime_error; commit() says no and
//        changes nothing.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>

namespace pelikan::storage::segcache {

class Region {
 public:
  // `what` names it in the message: "the heap".
  Region(std::size_t reserve_bytes, const char* what);
  ~Region();
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  // Makes at least the first `bytes` memory, zeroed where it is new. Never takes memory away.
  [[nodiscard]] bool commit(std::size_t bytes) noexcept;
  // What is committed becomes real a page at a time as it is touched, and whoever touches it waits for the kernel.
  // This, called at leisure, has the kernel do that beforehand: a step towards `ahead_bytes` behind the used ones.
  void populate(std::size_t used_bytes, std::size_t ahead_bytes) noexcept;
  // Commits the first `bytes`, rounded up, and makes them real at once, in huge pages where the kernel has some. Takes
  // a second for every few gigabytes. How many bytes it was. REQUIRES: nothing was given back.
  std::size_t prefault(std::size_t bytes);

  // Takes the whole pages of that part from the process: they are real again, and zero, when they are touched. From the
  // first time on the kernel joins no small pages to huge ones here, because it would fill such gaps.
  void give_back(std::size_t from, std::size_t bytes) noexcept;
  [[nodiscard]] static std::size_t whole_pages_bytes(std::size_t from, std::size_t bytes) noexcept {
    const std::size_t first = (from + kPageBytes - 1) / kPageBytes * kPageBytes;
    const std::size_t end = (from + bytes) / kPageBytes * kPageBytes;
    return end > first ? end - first : 0;
  }

  // What is real when the first `used_bytes` were touched and nothing was given back.
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
  static constexpr std::size_t kPopulateBytes = std::size_t{128} << 10;  // takes the kernel some 50 us
  static constexpr std::size_t kPageBytes = 4096;
  static constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;
  static constexpr std::size_t kHugePagesFromBytes = std::size_t{64} << 20;

  const char* what_;
  char* data_ = nullptr;
  std::size_t reserved_bytes_ = 0;
  std::size_t committed_bytes_ = 0;
  std::atomic<std::size_t> populated_bytes_{0};  // a multiple of kPopulateBytes; real_bytes() is asked on any thread
  std::size_t advised_bytes_ = 0;                // huge pages are wanted
  bool has_gaps_ = false;                        // they no longer are
};

}  // namespace pelikan::storage::segcache
