// Items per second through a ring between two threads, for one item at a time and for batches. Argument: items per
// publish() and per consume(). Both sides poll: this is the ring alone, without sleeping and waking.
#include "queue/spsc_ring.h"

#include <benchmark/benchmark.h>

#include <atomic>
#include <cstdint>
#include <thread>

namespace pelikan {
namespace {

constexpr std::size_t kCapacity = 1024;

void through_the_ring(benchmark::State& state) {
  const auto batch = static_cast<std::size_t>(state.range(0));
  SpscRing<std::uint64_t> ring(kCapacity);
  std::atomic<bool> stop{false};
  std::uint64_t sum = 0;
  std::jthread consumer([&] {
    const auto add = [&](std::uint64_t item) { sum += item; };
    while (!stop.load(std::memory_order_relaxed)) {
      if (ring.consume(batch, add) == 0) std::this_thread::yield();
    }
    ring.consume(kCapacity, add);
  });
  std::uint64_t sent = 0;
  for (auto _ : state) {
    for (std::size_t i = 0; i < batch; ++i) {
      while (!ring.stage(std::uint64_t{1})) {
        ring.publish();
        std::this_thread::yield();
      }
    }
    ring.publish();
    sent += batch;
  }
  stop = true;
  consumer.join();
  if (sum != sent) state.SkipWithError("an item is missing");
  state.SetItemsProcessed(static_cast<std::int64_t>(sent));
}

BENCHMARK(through_the_ring)->Arg(1)->Arg(16)->UseRealTime();

}  // namespace
}  // namespace pelikan
