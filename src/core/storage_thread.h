// The thread of a storage that is not thread-safe, and its queue pairs with the workers: see docs/threads.md.
//
//   worker ── lane.requests ──▶ execute ── lane.replies ──▶ worker
//
// Owner:   Process. Threads: run() on its own; add_lane() and share_memory() before any thread runs; post() and stop()
//          on any; a lane's send() and receive() on its worker's.
// Bounds:  a lane's rings hold as many batches as its worker has slots: they cannot overflow.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/published.h"
#include "core/batch.h"
#include "core/service.h"
#include "core/task_queue.h"
#include "metrics/metrics.h"
#include "net/loop.h"
#include "queue/spsc_ring.h"
#include "queue/waker.h"

namespace pelikan::core {

struct StorageMetrics : metrics::Group {
  metrics::Counter event_loop{this, "storage_event_loop", "turns of the storage thread"};
  metrics::Counter batch{this, "storage_batch", "batches of requests executed by the storage thread"};
  metrics::Counter batch_deferred{this, "storage_batch_deferred",
                                  "batches sent back as they came: buffers above buffer_memory"};
  metrics::Gauge queue_depth{this, "storage_queue_depth", "batches that waited at the start of the last turn"};
};

class StorageThread {
 public:
  class Lane;

  // Where all buffers of connections are: what server.buffer_memory bounds.
  struct BufferMemory {
    std::vector<const BufferPool*> pools;
    std::vector<const Lane*> lanes;

    [[nodiscard]] std::size_t bytes() const noexcept;
    [[nodiscard]] std::size_t bytes_outside(const BufferPool& own) const noexcept;
  };

  class Lane {
   public:
    // All of them, in order. Wakes the storage thread.
    void send(std::span<std::unique_ptr<Batch>> batches);
    // The next batch that has come back, or null.
    [[nodiscard]] std::unique_ptr<Batch> receive();
    // What the batches in the lane hold, which is in no pool. Any thread: what it says may be a moment old.
    [[nodiscard]] std::size_t bytes_under_way() const noexcept { return sent_ + grown_ - received_; }

   private:
    friend class StorageThread;
    Lane(StorageThread& storage, std::size_t capacity, net::Loop& worker)
        : storage_(storage), requests_(capacity), replies_(capacity), worker_(worker) {}

    StorageThread& storage_;
    SpscRing<std::unique_ptr<Batch>> requests_;
    SpscRing<std::unique_ptr<Batch>> replies_;
    net::Loop& worker_;
    // Bytes so far; only their sum has a meaning.
    Published<std::size_t> sent_{0};
    Published<std::size_t> grown_{0};  // by the replies, while they were with the storage; may wrap
    Published<std::size_t> received_{0};
  };

  static constexpr int kWaitMs = 100;  // the storage has a turn at least so often: it expires items

  // `buffer_bytes_max` is the limit of all threads together.
  StorageThread(Service& service, const Clock& clock, std::size_t buffer_bytes_max, int wait_ms = kWaitMs);

  // REQUIRES: at most `batches_max` batches are under way in it at once; `worker` outlives the thread.
  [[nodiscard]] Lane& add_lane(std::size_t batches_max, net::Loop& worker);
  // All that counts against the same limit.
  void share_memory(BufferMemory all) { memory_ = std::move(all); }
  [[nodiscard]] const BufferPool& buffers() const noexcept { return buffers_; }

  // The thread's body; returns after stop(). REQUIRES of stop(): all workers have ended.
  void run();
  void stop();
  // Runs `task` on the storage's thread, between two batches.
  void post(TaskQueue::Task task);

 private:
  [[nodiscard]] std::size_t take(Lane& lane);
  void execute(Batch& batch);

  Service& service_;
  const Clock& clock_;
  StorageMetrics metrics_;
  BufferPool buffers_;
  BufferMemory memory_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  TaskQueue tasks_;
  Waker waker_;
  const int wait_ms_;
  std::atomic<bool> stop_wanted_{false};
};

}  // namespace pelikan::core
