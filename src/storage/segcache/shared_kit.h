// What the tests of a shared cache have in common: which cache that is, its handles, its clock.
//
// SharedCache is what is tested, named in one line below. Its handles are made on one thread; then each is used by one
// thread at a time, between a turn() and a rest().
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "storage/segcache/segcache.h"

namespace pelikan::storage::segcache {

// A stand-in: one SegCache under a mutex, whose views are copies. Its clock is that of the thread which is ahead.
class LockedCache {
 public:
  LockedCache(const SegOptions& options, const KeyHash& hash, const Time& start, unsigned /*threads*/ = 1)
      : one_(std::make_shared<One>(options, hash, start)) {}

  [[nodiscard]] std::unique_ptr<LockedCache> share() { return std::unique_ptr<LockedCache>(new LockedCache(one_)); }

  void turn(const Time& now) {
    copies_.clear();
    const std::scoped_lock lock(one_->mutex);
    if (now.floor_sec > one_->now.floor_sec) one_->now = now;
    one_->cache.turn(one_->now);
  }
  void rest() { copies_.clear(); }

  [[nodiscard]] std::optional<Item> get(const Key& key) {
    const std::scoped_lock lock(one_->mutex);
    return copied(one_->cache.get(key));
  }
  [[nodiscard]] std::optional<Item> peek(const Key& key) {
    const std::scoped_lock lock(one_->mutex);
    return copied(one_->cache.peek(key));
  }
  template <class Decide>
  WriteResult write(const Key& key, Decide&& decide) {
    const std::scoped_lock lock(one_->mutex);
    return one_->cache.write(key, std::forward<Decide>(decide));
  }
  bool touch(const Key& key, std::uint32_t expire_at) {
    const std::scoped_lock lock(one_->mutex);
    return one_->cache.touch(key, expire_at);
  }
  bool erase(const Key& key) {
    const std::scoped_lock lock(one_->mutex);
    return one_->cache.erase(key);
  }
  void flush() {
    const std::scoped_lock lock(one_->mutex);
    one_->cache.flush();
  }
  template <class F>
  void visit(std::size_t limit, F&& f) const {
    const std::scoped_lock lock(one_->mutex);
    one_->cache.visit(limit, std::forward<F>(f));
  }
  [[nodiscard]] Stats stats() const {
    const std::scoped_lock lock(one_->mutex);
    return one_->cache.stats();
  }
  void check_invariants() const { one_->cache.check_invariants(); }

 private:
  struct One {
    One(const SegOptions& options, const KeyHash& hash, const Time& start) : cache(options, hash, start), now(start) {}
    std::mutex mutex;
    SegCache cache;
    Time now;
  };

  explicit LockedCache(std::shared_ptr<One> one) : one_(std::move(one)) {}

  std::optional<Item> copied(std::optional<Item> item) {
    if (item) {
      item->key = copies_.emplace_back(item->key);
      item->value = copies_.emplace_back(item->value);
    }
    return item;
  }

  std::shared_ptr<One> one_;
  std::deque<std::string> copies_;
};

using SharedCache = LockedCache;

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
inline std::vector<std::unique_ptr<SharedCache>> make_handles(const Heap& heap, std::uint64_t seed, unsigned threads) {
  SegOptions options;
  options.eviction.set(heap.eviction);
  options.segment_size.set(heap.segment_bytes);
  options.heap_size.set(heap.segments * heap.segment_bytes);
  options.hash_power.set(3);
  std::vector<std::unique_ptr<SharedCache>> handles;
  handles.push_back(std::make_unique<SharedCache>(options, KeyHash(seed), time_at(kTestStartSec), threads));
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
