// An item as it lies in a segment: a header of 8 bytes, the client's flags if they are not 0, the key, the value. Items
// begin at multiples of 4 bytes. A value that does not fit a segment lies in a block of its own: then a reference to it
// stands in the place of the value, and the value bytes are all ones ("a large item").
//
//           31    30    29                 8 7         0
//   sizes   |dead |flags|   value bytes 22  |  key 8   |
//           31                      14 13              0
//   state   |       expiry 18         |    heat 14     |
//
//   | sizes | state | [flags 4] | key | value, or LargeValue | 0-3 unused |
//
// The expiry is relative to the segment (ttl.h); the heat belongs to the eviction policy (heat.h). Only the state and
// the dead mark ever change once an item is written.
// Threads: readers count hits in `state` while the holder of the item's chain (index.h) changes the expiry there; who
//          took the item out of the index marks it dead, a large one also who releases its segment: the first of them
//          owns the block. Nobody reads anything else by these words: all relaxed.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>

#include "storage/segcache/heat.h"
#include "storage/segcache/slot.h"
#include "storage/segcache/ttl.h"

namespace pelikan::storage::segcache {

inline constexpr unsigned kKeyLengthBits = 8;
inline constexpr unsigned kValueLengthBits = 22;
inline constexpr std::size_t kKeyBytesMax = (1U << kKeyLengthBits) - 1;
inline constexpr std::size_t kValueBytesMax = std::size_t{128} << 20;
static_assert(kKeyLengthBits + kValueLengthBits + 2 == 32);
static_assert(kExpiryBits + kHeatBits == 32);

// Where the value of a large item is.
struct LargeValue {
  const char* data = nullptr;
  std::uint32_t bytes = 0;
  SegmentId lent = kNoSegment;  // the first of the segments that the block is paid for with (segments.h)

  [[nodiscard]] std::string_view view() const noexcept { return {data, bytes}; }
  // As it lies in an item.
  [[nodiscard]] std::string_view stored() const noexcept {
    return {reinterpret_cast<const char*>(this), sizeof(*this)};
  }
};
static_assert(sizeof(LargeValue) == 16);

class ItemHeader {
 public:
  // For `value_bytes`: a large item.
  static constexpr std::uint32_t kLarge = (1U << kValueLengthBits) - 1;

  // REQUIRES: value_bytes <= kLarge.
  ItemHeader(std::size_t key_bytes, std::size_t value_bytes, bool has_flags, std::uint32_t expiry_code) noexcept
      : sizes_(static_cast<std::uint32_t>(key_bytes | (value_bytes << kKeyLengthBits)) | (has_flags ? kFlagsBit : 0)),
        state_(expiry_code << kHeatBits) {}

  [[nodiscard]] std::uint32_t key_bytes() const noexcept { return sizes() & kKeyBytesMax; }
  [[nodiscard]] bool large() const noexcept { return value_field() == kLarge; }
  [[nodiscard]] bool has_flags() const noexcept { return (sizes() & kFlagsBit) != 0; }
  [[nodiscard]] bool dead() const noexcept { return (sizes() & kDeadBit) != 0; }
  // False when it was dead. Several may try at once only if it is large.
  bool mark_dead(bool shared) noexcept {
    if (shared && large()) return (sizes_.fetch_or(kDeadBit, std::memory_order_relaxed) & kDeadBit) == 0;
    const std::uint32_t before = sizes();
    sizes_.store(before | kDeadBit, std::memory_order_relaxed);
    return (before & kDeadBit) == 0;
  }

  [[nodiscard]] std::uint32_t expiry_code() const noexcept { return state() >> kHeatBits; }
  [[nodiscard]] Heat heat() const noexcept { return state() & kHeatMask; }
  // Of an item that nobody else knows yet.
  void set_heat(Heat heat) noexcept { state_.store((state() & ~kHeatMask) | heat, std::memory_order_relaxed); }
  // A new expiry. `shared`: others may be counting hits.
  void set_expiry_code(std::uint32_t code, bool shared) noexcept {
    std::uint32_t before = state();
    while (!replace_state(before, (code << kHeatBits) | (before & kHeatMask), shared)) continue;
  }
  // f(heat) is the heat after one more hit. A hit that meets another change of the state is not counted.
  template <class F>
  void count_hit(F&& f, bool shared) noexcept {
    std::uint32_t before = state();
    const Heat heat = before & kHeatMask;
    const Heat after = f(heat);
    if (after != heat) (void)replace_state(before, (before & ~kHeatMask) | after, shared);
  }

  // What follows the header. `value`: its bytes, or of a large item the LargeValue.
  struct Content {
    std::uint32_t flags = 0;
    std::string_view key;
    std::string_view value;
    bool large = false;
  };
  // By one look at the sizes.
  [[nodiscard]] Content content() const noexcept {
    const std::uint32_t sizes = this->sizes();
    const char* at = bytes();
    std::uint32_t flags = 0;
    if ((sizes & kFlagsBit) != 0) {
      std::memcpy(&flags, at, sizeof(flags));
      at += sizeof(flags);
    }
    const std::uint32_t key_bytes = sizes & kKeyBytesMax;
    const std::uint32_t field = (sizes >> kKeyLengthBits) & kLarge;
    const bool large = field == kLarge;
    return {flags, {at, key_bytes}, {at + key_bytes, large ? sizeof(LargeValue) : field}, large};
  }
  [[nodiscard]] std::string_view key() const noexcept { return content().key; }
  [[nodiscard]] std::string_view value() const noexcept { return value_of(content()); }
  [[nodiscard]] static std::string_view value_of(const Content& content) noexcept {
    return content.large ? large_value_of(content).view() : content.value;
  }
  // REQUIRES: large().
  [[nodiscard]] LargeValue large_value() const noexcept { return large_value_of(content()); }
  [[nodiscard]] std::uint32_t value_bytes() const noexcept { return static_cast<std::uint32_t>(value().size()); }
  [[nodiscard]] std::uint32_t flags() const noexcept { return content().flags; }
  // What it takes of its segment.
  [[nodiscard]] std::uint32_t total_bytes() const noexcept;

  // Writes a copy, with another expiry and heat, where there is room for it. Of a large item the head: the block stays.
  ItemHeader& copy_to(void* to, std::uint32_t expiry_code, Heat heat) const noexcept {
    auto* copy = new (to) ItemHeader(key_bytes(), value_field(), has_flags(), expiry_code);
    copy->set_heat(heat);
    const std::string_view last = content().value;
    std::memcpy(static_cast<void*>(copy + 1), bytes(), static_cast<std::size_t>(last.data() + last.size() - bytes()));
    return *copy;
  }

  // Writes what follows the header. REQUIRES: the sizes given to the constructor; kLarge takes a LargeValue::stored().
  void fill(std::uint32_t flags, std::string_view key, std::string_view front, std::string_view back) noexcept {
    char* to = reinterpret_cast<char*>(this + 1);
    if (has_flags()) {
      std::memcpy(to, &flags, sizeof(flags));
      to += sizeof(flags);
    }
    for (const std::string_view part : {key, front, back}) {
      if (!part.empty()) std::memcpy(to, part.data(), part.size());
      to += part.size();
    }
  }

 private:
  static constexpr std::uint32_t kFlagsBit = 1U << 30;
  static constexpr std::uint32_t kDeadBit = 1U << 31;
  static constexpr std::uint32_t kHeatMask = (1U << kHeatBits) - 1;

  [[nodiscard]] static LargeValue large_value_of(const Content& content) noexcept {
    LargeValue value;
    std::memcpy(static_cast<void*>(&value), content.value.data(), sizeof(value));
    return value;
  }
  [[nodiscard]] std::uint32_t sizes() const noexcept { return sizes_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint32_t value_field() const noexcept { return (sizes() >> kKeyLengthBits) & kLarge; }
  [[nodiscard]] std::uint32_t state() const noexcept { return state_.load(std::memory_order_relaxed); }
  // False: another thread was faster, and `before` is what it made of it.
  bool replace_state(std::uint32_t& before, std::uint32_t after, bool shared) noexcept {
    if (shared) return state_.compare_exchange_weak(before, after, std::memory_order_relaxed);
    state_.store(after, std::memory_order_relaxed);
    return true;
  }
  [[nodiscard]] const char* bytes() const noexcept { return reinterpret_cast<const char*>(this + 1); }

  std::atomic<std::uint32_t> sizes_;
  std::atomic<std::uint32_t> state_;
};
static_assert(sizeof(ItemHeader) == 8 && alignof(ItemHeader) == kSlotUnitBytes);

[[nodiscard]] constexpr std::size_t item_bytes(std::size_t key_bytes, std::size_t value_bytes,
                                               bool has_flags) noexcept {
  const std::size_t bytes = sizeof(ItemHeader) + (has_flags ? 4 : 0) + key_bytes + value_bytes;
  return (bytes + kSlotUnitBytes - 1) / kSlotUnitBytes * kSlotUnitBytes;
}

inline std::uint32_t ItemHeader::total_bytes() const noexcept {
  const Content content = this->content();
  return static_cast<std::uint32_t>(item_bytes(content.key.size(), content.value.size(), has_flags()));
}

}  // namespace pelikan::storage::segcache
