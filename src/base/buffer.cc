#include "base/buffer.h"

#include <algorithm>
#include <cstdlib>
#include <new>
#include <utility>

namespace pelikan {

BufferPool::~BufferPool() {
  for (char* block : free_blocks_) std::free(block);
}

char* BufferPool::allocate(std::size_t& bytes) {
  bytes = std::max(bytes, kBlockBytes);
  bytes_in_use_.store(bytes_in_use() + bytes, std::memory_order_relaxed);
  if (bytes == kBlockBytes && !free_blocks_.empty()) {
    char* block = free_blocks_.back();
    free_blocks_.pop_back();
    return block;
  }
  auto* block = static_cast<char*>(std::malloc(bytes));
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

void BufferPool::release(char* block, std::size_t bytes) noexcept {
  bytes_in_use_.store(bytes_in_use() - bytes, std::memory_order_relaxed);
  if (bytes != kBlockBytes || free_blocks_.size() >= kFreeBlocksMax) {
    std::free(block);
    return;
  }
  free_blocks_.push_back(block);
}

void Buffer::reset() noexcept {
  if (data_ != nullptr) pool_->release(data_, capacity_);
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
