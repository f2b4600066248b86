// What the tests of a shared cache have in common: which cache that is, its handles, its clock.
//
// Handles are made on one thread; then each is used by one thread at a time, between a turn() and a rest().
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "base/check.h"
#include "storage/segcache/segcache.h"

namespace pelikan::storage::segcache {

#if defined(__SANITIZE_THREAD__)
inline constexpr bool kSlow = true;  // everything is ten times as slow
#else
inline constexpr bool kSlow = false;
#endif

inline constexpr std::uint64_t kKib = 1024;
inline constexpr std::uint32_t kTestStartSec = 1'000;

constexpr Time time_at(std::uint32_t now_sec) {
  return {.floor_sec = now_sec, .ceil_sec = now_sec, .unix_sec = now_sec, .mono_ns = now_sec * kNanosPerSecond};
}

struct Heap {
  const char* eviction = "none";
  std::uint64_t segments = 0;
  std::uint64_t segment_bytes = Geometry::kSegmentBytesMin;
};

// The smallest heap that so many threads may share, of the smallest segments.
inline Heap tiny_heap(const char* eviction, unsigned threads) {
  return {.eviction = eviction, .segments = std::uint64_t{16} * threads};
}

inline std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// One handle for each of so many threads, on an index that begins with one bucket. All rest.
inline std::vector<std::unique_ptr<SegCache>> make_handles(const Heap& heap, std::uint64_t seed, unsigned threads) {
  SegOptions options;
  options.eviction.set(heap.eviction);
  options.segment_size.set(heap.segment_bytes);
  options.heap_size.set(heap.segments * heap.segment_bytes);
  options.hash_power.set(3);
  std::vector<std::unique_ptr<SegCache>> handles;
  handles.push_back(std::make_unique<SegCache>(options, KeyHash(seed), time_at(kTestStartSec), threads));
  while (handles.size() < threads) handles.push_back(handles.front()->share());
  for (const auto& handle : handles) handle->rest();
  return handles;
}

// A clock that goes on only when every thread has read it or rests. So the threads' clocks differ by at most a second,
// as those of threads do whose turns are short.
class TestClock {
 public:
  static constexpr unsigned kThreadsMax = 16;

  TestClock() {
    for (auto& seen : seen_) seen.store(kResting);
  }

  // For a turn of that thread.
  [[nodiscard]] std::uint32_t read(unsigned thread) {
    CHECK(thread < kThreadsMax);
    for (;;) {
      const std::uint32_t now = now_.load();
      seen_[thread].store(now);
      if (now_.load() == now) return now;
    }
  }
  void rest(unsigned thread) { seen_[thread].store(kResting); }

  void advance() {
    std::uint32_t now = now_.load();
    for (const auto& seen : seen_) {
      if (seen.load() < now) return;
    }
    now_.compare_exchange_strong(now, now + 1);
  }

 private:
  static constexpr std::uint32_t kResting = 0xFFFFFFFF;

  std::atomic<std::uint32_t> now_{kTestStartSec};
  std::array<std::atomic<std::uint32_t>, kThreadsMax> seen_;
};

}  // namespace pelikan::storage::segcache
