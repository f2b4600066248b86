// The thread itself: that it works when it is asked, ends when it must, and is nobody's target.
#include "storage/segcache/populator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include "metrics/metrics.h"
#include "storage/segcache/shared_kit.h"

namespace pelikan::storage::segcache {
namespace {

constexpr std::uint64_t kMb = 1024 * kKib;

// False when it did not come true within a minute.
bool await(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

struct Parts {
  Grace grace{1};
  Segments segments{128, static_cast<std::uint32_t>(kMb), grace};
  Index index{segments, KeyHash(1), 1, 1 << 20};
};

TEST(Populator, DoesNothingUnlessAskedThenAllThatIsDueAndNoMore) {
  Parts parts;
  Populator populator(parts.segments, parts.index);
  EXPECT_EQ(parts.segments.real_bytes(), 0U);
  populator.look();
  ASSERT_TRUE(await([&] { return !parts.segments.runs_short() && !parts.index.runs_short(); }));
  EXPECT_EQ(parts.segments.real_bytes(), 2 * kMb);
  EXPECT_GE(parts.index.real_bytes(), 4 * kMb);  // both parts of it
  EXPECT_LE(parts.index.real_bytes(), 8 * kMb);
  EXPECT_FALSE(parts.segments.populate());
}

// At once, before it has come to wait, or in the middle of its work.
TEST(Populator, EndsAtAnyTime) {
  for (int i = 0; i < 50; ++i) {
    Parts parts;
    Populator populator(parts.segments, parts.index);
    for (int asked = 0; asked < i % 3; ++asked) populator.look();
    if (i % 2 == 1) std::this_thread::yield();
  }
}

// A signal that ended up in a thread that has not asked for it would end the process.
TEST(Populator, TakesNoSignals) {
  const auto blocked = [] {
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      std::string name;
      std::getline(std::ifstream(task.path() / "comm"), name);
      if (name != "pelikan_memory") continue;
      std::ifstream status(task.path() / "status");
      for (std::string line; std::getline(status, line);) {
        if (line.starts_with("SigBlk:")) return std::stoull(line.substr(7), nullptr, 16);
      }
    }
    return 0ULL;
  };
  sigset_t before;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  Parts parts;
  const Populator populator(parts.segments, parts.index);
  ASSERT_TRUE(await([&] { return blocked() != 0; }));
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) {
    EXPECT_NE(blocked() >> (signal - 1) & 1, 0U) << signal;
  }
  sigset_t after;
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) {
    EXPECT_EQ(sigismember(&after, signal), sigismember(&before, signal)) << signal;
  }
}

// In a whole cache, as soon as a turn has seen that it is needed.
TEST(Populator, KeepsAheadOfWhatIsStored) {
  const auto metric = [](const char* name) { return static_cast<std::uint64_t>(metrics::snapshot().value(name)); };
  const auto handles = make_handles({.segments = 128, .segment_bytes = kMb}, 1, 1);
  SegCache& cache = *handles.front();
  const Time now = time_at(kTestStartSec);
  const auto await_ready = [&](std::uint64_t heap_bytes) {
    return await([&] {
      cache.turn(now);
      return metric("heap_bytes") >= heap_bytes && metric("hash_bytes") >= 4 * kMb;
    });
  };
  ASSERT_TRUE(await_ready(2 * kMb));
  const std::string value(100'000, 'v');
  for (std::uint64_t items = 0; items < 1200;) {
    for (const std::uint64_t end = items + 100; items < end; ++items) {
      auto store = [&](const Item*) { return Verdict::store(value, 0, 0); };
      ASSERT_EQ(cache.write("key" + std::to_string(items), store).status, WriteResult::Status::kStored);
    }
    ASSERT_TRUE(await_ready(std::min(items * value.size() + 2 * kMb, 128 * kMb))) << items;
    EXPECT_LE(metric("heap_bytes"), items * value.size() * 11 / 10 + 8 * kMb);
    EXPECT_LE(metric("hash_bytes"), 8 * kMb);
  }
  cache.check_invariants();
}

}  // namespace
}  // namespace pelikan::storage::segcache
