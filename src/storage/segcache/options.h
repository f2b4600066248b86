// Settings of the storage: the section [seg], and what is worked out from it.
// Owner: main. Threads: written before any thread starts. Failure: Geometry::from throws config::Error, one line.
#pragma once

#include <cstdint>
#include <string>

#include "config/config.h"

namespace pelikan::storage::segcache {

struct SegOptions : config::Section {
  SegOptions() : Section("seg") {}
  void check() const override;  // that Geometry::from() is content
  // Chooses heap_size (unless it was set) and index_bytes_max so that heap, index and ghost table together stay within
  // so many bytes. Throws config::Error when heap_size was set and leaves no room. REQUIRES: bytes >= kFitBytesMin.
  void fit_into(std::uint64_t bytes);
  static constexpr std::uint64_t kFitBytesMin = config::kMiB;

  config::Option<config::Size> heap_size{this, "heap_size", config::kGiB, "memory for items",
                                         config::Range{12 * config::kKiB, 64 * config::kTiB}};
  config::Option<config::Size> segment_size{this, "segment_size", 0,
                                            "bytes of a segment; 0 picks it: the heap in 256 parts or more, 8KB to 1MB",
                                            config::Range{std::uint64_t{0}, 4 * config::kMiB}};
  config::Option<std::string> eviction{
      this, "eviction", "seger", "what makes room when the heap is full",
      config::OneOf{"none", "random", "random_fifo", "fifo", "cte", "util", "merge", "seger"}};
  config::Option<std::uint64_t> hash_power{
      this, "hash_power", 16, "the index starts with room for 2^this items and grows by itself", config::Range{3, 40}};
  config::Option<std::uint64_t> merge_target{
      this, "merge_target", 4, "merge: keeps one part in this many of what it merges", config::Range{1, 64}};
  config::Option<std::uint64_t> merge_max{this, "merge_max", 8, "merge: segments merged into one, at most",
                                          config::Range{3, 64}};
  config::Option<std::uint64_t> compact_target{
      this, "compact_target", 2, "two neighbours that are each filled to less than one part in this many become one",
      config::Range{2, 64}};
  config::Option<config::Size> max_value_size{this, "max_value_size", config::kMiB,
                                              "largest value; something less than half of the heap is a limit too",
                                              config::Range{std::uint64_t{1}, 128 * config::kMiB}};

  config::Option<bool> prefault{this, "prefault", false,
                                "have the memory of heap and index at the start, in huge pages if there are any"};

  std::uint64_t index_bytes_max = 0;  // not a setting: see fit_into(); 0: as much as the heap

  config::Ignored overflow_factor{this, "overflow_factor", "the index grows by itself"};
  config::Ignored admission_ratio{this, "admission_ratio", "the small queue of seger has a fixed part of the heap"};
  config::Ignored datapool_path{this, "datapool_path", "the heap is anonymous memory"};
};

// The sizes that follow from the options.
struct Geometry {
  std::uint32_t segment_bytes = 0;
  std::uint32_t segments = 0;

  static constexpr std::uint32_t kSegmentsMin = 3;  // one to write, one to evict, one to copy into
  static constexpr std::uint32_t kSegmentBytesMin = 4 * 1024;

  [[nodiscard]] static Geometry from(const SegOptions& options);
  [[nodiscard]] std::uint64_t heap_bytes() const noexcept { return std::uint64_t{segment_bytes} * segments; }
};

}  // namespace pelikan::storage::segcache
