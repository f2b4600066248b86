// A growable run of bytes: appended at the end, consumed at the front. And the pool its memory comes from.
//
//        data_                                   capacity_
//        |----consumed----|-----view()-----|--room()--|
//                         begin_           end_
//
// An empty Buffer holds no memory. Blocks of 2 KB, 16 KB, 32 KB and so on up to 512 KB are kept in the pool for the
// next user, a few of them: large ones that go back to the allocator are unmapped, and the next user pays for each page
// again. Larger ones go back at once. Growing never fails: the pool counts the bytes in use and the owner of the pool
// acts on over_limit().
// Owner:   a session (through its worker). Threads: pool and buffers belong to one thread. A buffer that goes to
//          another thread leaves its pool before and joins the other's after; on the way it may be read, not grown.
#pragma once

#include <cstddef>
#include <cstring>
#include <string_view>
#include <vector>

#include "base/published.h"

namespace pelikan {

class BufferPool {
 public:
  static constexpr std::size_t kSmallBlockBytes = 2 * 1024;
  static constexpr std::size_t kBlockBytes = 16 * 1024;
  static constexpr std::size_t kLargestBlockBytes = 512 * 1024;
  static constexpr std::size_t kKeptBlocksMax = 128;  // of 2 KB, and of 16 KB
  // Of all larger ones, those that were released last: more than fits a cache is slower.
  static constexpr std::size_t kKeptLargeBytesMax = 2 << 20;

  explicit BufferPool(std::size_t limit_bytes) : limit_bytes_(limit_bytes) {}
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  // A block of at least `bytes`; `bytes` becomes its true size.
  [[nodiscard]] char* allocate(std::size_t& bytes);
  void release(char* block, std::size_t bytes) noexcept;
  // Of blocks that nobody uses.
  [[nodiscard]] std::size_t bytes_kept() const noexcept;

  // Any thread may read this.
  [[nodiscard]] std::size_t bytes_in_use() const noexcept { return bytes_in_use_; }
  // What counts against the same limit in other pools.
  void set_bytes_elsewhere(std::size_t bytes) noexcept { bytes_elsewhere_ = bytes; }
  [[nodiscard]] bool over_limit() const noexcept { return bytes_in_use() + bytes_elsewhere_ > limit_bytes_; }

 private:
  friend class Buffer;
  struct LargeBlock {
    char* data;
    std::size_t bytes;
  };
  [[nodiscard]] char* take_kept(std::size_t bytes) noexcept;  // null: there is none
  void keep_large(char* block, std::size_t bytes) noexcept;

  std::vector<char*> kept_small_;
  std::vector<char*> kept_;
  std::vector<LargeBlock> kept_large_;  // in the order of their release, 64 at most
  std::size_t kept_large_bytes_ = 0;
  Published<std::size_t> bytes_in_use_;
  std::size_t bytes_elsewhere_ = 0;
  std::size_t limit_bytes_;
};

class Buffer {
 public:
  Buffer() noexcept = default;  // of no pool: may not grow before join()
  explicit Buffer(BufferPool& pool) noexcept : pool_(&pool) {}
  ~Buffer() { reset(); }
  Buffer(Buffer&& other) noexcept : pool_(other.pool_) { swap(other); }  // `other` stays usable, empty
  Buffer& operator=(Buffer&& other) noexcept {
    if (this != &other) {
      reset();
      swap(other);
    }
    return *this;
  }

  [[nodiscard]] std::string_view view() const noexcept { return {data_ + begin_, end_ - begin_}; }
  [[nodiscard]] char* data() noexcept { return data_ + begin_; }
  [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }
  [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

  void append(std::string_view bytes) {
    if (bytes.empty()) return;
    std::memcpy(prepare(bytes.size()), bytes.data(), bytes.size());
    end_ += bytes.size();
  }
  // Room for `bytes` more at the returned place; commit() says how many of them were written.
  [[nodiscard]] char* prepare(std::size_t bytes) {
    if (capacity_ - end_ < bytes) grow(bytes);
    return data_ + end_;
  }
  void commit(std::size_t bytes) noexcept { end_ += bytes; }
  void consume(std::size_t bytes) noexcept {
    begin_ += bytes;
    if (begin_ == end_) begin_ = end_ = 0;
  }
  void truncate(std::size_t size) noexcept { end_ = begin_ + size; }  // REQUIRES: size <= size()
  void clear() noexcept { begin_ = end_ = 0; }
  // Gives the memory back to the pool.
  void reset() noexcept;
  // Before and after it goes to another thread.
  void leave_pool() noexcept;
  void join(BufferPool& pool) noexcept;  // REQUIRES: of no pool

 private:
  void swap(Buffer& other) noexcept;
  void grow(std::size_t bytes);

  BufferPool* pool_ = nullptr;
  char* data_ = nullptr;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace pelikan
