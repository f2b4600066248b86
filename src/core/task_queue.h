// Work that other threads hand to a thread with a loop of its own: rare things, such as flush_all or a reload.
// Owner: the thread that runs the tasks. Threads: post() on any, run() on the owner's.
// Limits: none of its own; what posts is bounded (admin connections, ticks of the main thread).
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

namespace pelikan::core {

class TaskQueue {
 public:
  using Task = std::move_only_function<void()>;

  // The caller wakes the owner.
  void post(Task task) {
    const std::scoped_lock lock(mutex_);
    tasks_.push_back(std::move(task));
    has_tasks_.store(true, std::memory_order_release);
  }
  // Without tasks this is one load.
  void run() {
    if (!has_tasks_.load(std::memory_order_acquire)) return;
    std::vector<Task> tasks;
    {
      const std::scoped_lock lock(mutex_);
      tasks.swap(tasks_);
      has_tasks_.store(false, std::memory_order_relaxed);
    }
    for (Task& task : tasks) task();
  }

 private:
  std::mutex mutex_;
  std::vector<Task> tasks_;  // GUARDED_BY(mutex_)
  std::atomic<bool> has_tasks_{false};
};

}  // namespace pelikan::core
