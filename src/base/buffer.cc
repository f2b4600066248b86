#include "base/buffer.h"

#include <algorithm>
#include <cstdlib>
#include <new>
#include <utility>

#include "base/check.h"

namespace pelikan {

BufferPool::~BufferPool() {
  for (const auto* blocks : {&free_small_blocks_, &free_blocks_}) {
    for (char* block : *blocks) std::free(block);
  }
}

std::vector<char*>* BufferPool::free_blocks_of(std::size_t bytes) noexcept {
  return bytes == kBlockBytes ? &free_blocks_ : bytes == kSmallBlockBytes ? &free_small_blocks_ : nullptr;
}

char* BufferPool::allocate(std::size_t& bytes) {
  bytes = bytes <= kSmallBlockBytes ? kSmallBlockBytes : std::max(bytes, kBlockBytes);
  bytes_in_use_ += bytes;
  if (auto* free_blocks = free_blocks_of(bytes); free_blocks != nullptr && !free_blocks->empty()) {
    char* block = free_blocks->back();
    free_blocks->pop_back();
    return block;
  }
  auto* block = static_cast<char*>(std::malloc(bytes));
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

void BufferPool::release(char* block, std::size_t bytes) noexcept {
  bytes_in_use_ -= bytes;
  auto* free_blocks = free_blocks_of(bytes);
  if (free_blocks == nullptr || free_blocks->size() >= kFreeBlocksMax) {
    std::free(block);
    return;
  }
  free_blocks->push_back(block);
}

void Buffer::reset() noexcept {
  if (data_ != nullptr) {
    if (pool_ != nullptr) {
      pool_->release(data_, capacity_);
    } else {
      std::free(data_);
    }
  }
  data_ = nullptr;
  begin_ = end_ = capacity_ = 0;
}

void Buffer::swap(Buffer& other) noexcept {
  std::swap(pool_, other.pool_);
  std::swap(data_, other.data_);
  std::swap(begin_, other.begin_);
  std::swap(end_, other.end_);
  std::swap(capacity_, other.capacity_);
}

void Buffer::leave_pool() noexcept {
  if (pool_ != nullptr) pool_->bytes_in_use_ -= capacity_;
  pool_ = nullptr;
}

void Buffer::join(BufferPool& pool) noexcept {
  CHECK(pool_ == nullptr);
  pool_ = &pool;
  pool.bytes_in_use_ += capacity_;
}

// Moves what is left to the front when that makes room enough, else doubles.
void Buffer::grow(std::size_t bytes) {
  const std::size_t kept = size();
  if (begin_ >= kept && capacity_ - kept >= bytes) {
    std::memmove(data_, data_ + begin_, kept);
  } else {
    std::size_t capacity = std::max(capacity_ * 2, kept + bytes);
    char* data = pool_->allocate(capacity);
    if (kept > 0) std::memcpy(data, data_ + begin_, kept);
    if (data_ != nullptr) pool_->release(data_, capacity_);
    data_ = data;
    capacity_ = capacity;
  }
  begin_ = 0;
  end_ = kept;
}

}  // namespace pelikan
