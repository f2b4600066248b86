#include "core/storage_thread.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace pelikan::core {

std::size_t StorageThread::BufferMemory::bytes() const noexcept {
  std::size_t sum = 0;
  for (const BufferPool* pool : pools) sum += pool->bytes_in_use();
  for (const Lane* lane : lanes) sum += lane->bytes_under_way();
  return sum;
}

std::size_t StorageThread::BufferMemory::bytes_outside(const BufferPool& own) const noexcept {
  const std::size_t all = bytes();
  return all - std::min(all, own.bytes_in_use());
}

void StorageThread::Lane::send(std::span<std::unique_ptr<Batch>> batches) {
  for (auto& batch : batches) {
    sent_ += batch->held_bytes();
    CHECK(requests_.stage(std::move(batch)));
  }
  requests_.publish();
  storage_.waker_.signal();
}

std::unique_ptr<Batch> StorageThread::Lane::receive() {
  auto batch = replies_.pop();
  if (!batch) return nullptr;
  received_ += (*batch)->held_bytes();
  return std::move(*batch);
}

StorageThread::StorageThread(Service& service, const Clock& clock, std::size_t buffer_bytes_max, int wait_ms)
    : service_(service), clock_(clock), buffers_(buffer_bytes_max), wait_ms_(wait_ms) {}

StorageThread::Lane& StorageThread::add_lane(std::size_t batches_max, net::Loop& worker) {
  lanes_.push_back(std::unique_ptr<Lane>(new Lane(*this, std::bit_ceil(batches_max), worker)));
  return *lanes_.back();
}

void StorageThread::post(TaskQueue::Task task) {
  tasks_.post(std::move(task));
  waker_.signal();
}

void StorageThread::stop() {
  stop_wanted_.store(true, std::memory_order_release);
  waker_.signal();
}

void StorageThread::run() {
  bool busy = false;
  while (!stop_wanted_.load(std::memory_order_acquire)) {
    if (!busy) {
      service_.rest();
      waker_.wait(wait_ms_);
    }
    service_.turn(clock_.now());
    tasks_.run();
    buffers_.set_bytes_elsewhere(memory_.bytes_outside(buffers_));
    std::size_t depth = 0;
    for (const auto& lane : lanes_) depth += take(*lane);
    busy = depth > 0;  // more may have come meanwhile
    metrics_.event_loop.add();
    metrics_.queue_depth.set(static_cast<std::int64_t>(depth));
  }
  service_.rest();
}

// All that is in the lane now: no more, so that no worker waits for another's flood.
std::size_t StorageThread::take(Lane& lane) {
  const std::size_t count = lane.requests_.consume(lane.requests_.capacity(), [&](std::unique_ptr<Batch>&& batch) {
    const std::size_t before = batch->held_bytes();
    execute(*batch);
    lane.grown_ += batch->held_bytes() - before;
    CHECK(lane.replies_.stage(std::move(batch)));
  });
  if (count == 0) return 0;
  lane.replies_.publish();
  lane.worker_.wake();
  return count;
}

void StorageThread::execute(Batch& batch) {
  batch.arrive(buffers_);
  if (buffers_.over_limit()) {
    batch.outcome = ServeStatus::kLimit;
    metrics_.batch_deferred.add();
  } else {
    service_.execute(batch, {});
    metrics_.batch.add();
  }
  batch.leave();
}

}  // namespace pelikan::core
