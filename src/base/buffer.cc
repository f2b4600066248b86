#include "base/buffer.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <iterator>
#include <new>
#include <utility>

#include "base/check.h"

namespace pelikan {

namespace {

std::size_t block_bytes(std::size_t bytes) {
  if (bytes <= BufferPool::kSmallBlockBytes) return BufferPool::kSmallBlockBytes;
  return bytes <= BufferPool::kLargestBlockBytes ? std::max(std::bit_ceil(bytes), BufferPool::kBlockBytes) : bytes;
}

}  // namespace

BufferPool::~BufferPool() {
  for (const auto* blocks : {&kept_small_, &kept_}) {
    for (char* block : *blocks) std::free(block);
  }
  for (const LargeBlock& block : kept_large_) std::free(block.data);
}

std::size_t BufferPool::bytes_kept() const noexcept {
  return kept_small_.size() * kSmallBlockBytes + kept_.size() * kBlockBytes + kept_large_bytes_;
}

char* BufferPool::take_kept(std::size_t bytes) noexcept {
  if (bytes <= kBlockBytes) {
    auto& kept = bytes == kSmallBlockBytes ? kept_small_ : kept_;
    if (kept.empty()) return nullptr;
    char* block = kept.back();
    kept.pop_back();
    return block;
  }
  const auto last = std::find_if(kept_large_.rbegin(), kept_large_.rend(),
                                 [bytes](const LargeBlock& block) { return block.bytes == bytes; });
  if (last == kept_large_.rend()) return nullptr;
  char* block = last->data;
  kept_large_.erase(std::next(last).base());
  kept_large_bytes_ -= bytes;
  return block;
}

char* BufferPool::allocate(std::size_t& bytes) {
  bytes = block_bytes(bytes);
  bytes_in_use_ += bytes;
  if (char* kept = take_kept(bytes)) return kept;
  auto* block = static_cast<char*>(std::malloc(bytes));
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

// The oldest leave, whatever their size: other sizes may be needed now than a while ago.
void BufferPool::keep_large(char* block, std::size_t bytes) noexcept {
  kept_large_.push_back({block, bytes});
  kept_large_bytes_ += bytes;
  auto first_kept = kept_large_.begin();
  for (; kept_large_bytes_ > kKeptLargeBytesMax; ++first_kept) {
    kept_large_bytes_ -= first_kept->bytes;
    std::free(first_kept->data);
  }
  kept_large_.erase(kept_large_.begin(), first_kept);
}

void BufferPool::release(char* block, std::size_t bytes) noexcept {
  bytes_in_use_ -= bytes;
  if (bytes > kBlockBytes && bytes <= kLargestBlockBytes) return keep_large(block, bytes);
  auto& kept = bytes == kSmallBlockBytes ? kept_small_ : kept_;
  if (bytes > kLargestBlockBytes || kept.size() >= kKeptBlocksMax) {
    std::free(block);
  } else {
    kept.push_back(block);
  }
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
