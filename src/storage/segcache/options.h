// Settings of the storage: the section [seg].
#pragma once

#include <cstdint>
#include <string>

namespace pelikan::storage::segcache {

template <class T>
class PlainOption {
 public:
  explicit PlainOption(T value) : value_(std::move(value)) {}
  const T& operator()() const { return value_; }
  void set(T value) { value_ = std::move(value); }

 private:
  T value_;
};

struct SegOptions {
  PlainOption<std::uint64_t> heap_size{std::uint64_t{1} << 30};
  PlainOption<std::uint64_t> segment_size{0};
  PlainOption<std::string> eviction{"merge"};
  PlainOption<std::uint64_t> hash_power{16};
  PlainOption<std::uint64_t> merge_target{4};
  PlainOption<std::uint64_t> merge_max{8};
  PlainOption<std::uint64_t> compact_target{2};
  PlainOption<std::uint64_t> max_value_size{std::uint64_t{1} << 20};
};

}  // namespace pelikan::storage::segcache
