#include "base/buffer.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <new>
#include <utility>

#include "base/check.h"

namespace pelikan {

namespace {

std::size_t block_bytes(std::size_t bytes) {
  if (bytes <= BufferPool::kSmallBlockBytes) return BufferPool::kSmallBlockBytes;
  return bytes <= BufferPool::kLargestBlockBytes ? std::max(std::bit_ceil(bytes), BufferPool::kBlockBytes) : bytes;
}

// REQUIRES: `bytes` is what block_bytes() returned, and not above kLargestBlockBytes.
std::size_t kept_index(std::size_t bytes) { return std::bit_width(bytes / BufferPool::kBlockBytes); }

}  // namespace

BufferPool::~BufferPool() {
  for (const auto& blocks : kept_) {
    for (char* block : blocks) std::free(block);
  }
}

std::size_t BufferPool::bytes_kept() const noexcept {
  return kept_[0].size() * kSmallBlockBytes + kept_[1].size() * kBlockBytes + kept_large_bytes_;
}

bool BufferPool::may_keep(std::size_t bytes) const noexcept {
  if (bytes <= kBlockBytes) return kept_[kept_index(bytes)].size() < kKeptBlocksMax;
  return bytes <= kLargestBlockBytes && kept_large_bytes_ + bytes <= kKeptLargeBytesMax;
}

char* BufferPool::allocate(std::size_t& bytes) {
  bytes = block_bytes(bytes);
  bytes_in_use_ += bytes;
  if (bytes <= kLargestBlockBytes) {
    if (auto& kept = kept_[kept_index(bytes)]; !kept.empty()) {
      char* block = kept.back();
      kept.pop_back();
      if (bytes > kBlockBytes) kept_large_bytes_ -= bytes;
      return block;
    }
  }
  auto* block = static_cast<char*>(std::malloc(bytes));
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

void BufferPool::release(char* block, std::size_t bytes) noexcept {
  bytes_in_use_ -= bytes;
  if (!may_keep(bytes)) {
    std::free(block);
    return;
  }
  kept_[kept_index(bytes)].push_back(block);
  if (bytes > kBlockBytes) kept_large_bytes_ += bytes;
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
