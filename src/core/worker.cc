#include "core/worker.h"

#include <algorithm>

#include "log/log.h"
#include "net/socket.h"

namespace pelikan::core {

Worker::Worker(const WorkerSettings& settings, Service& service, const Clock& clock)
    : settings_(settings),
      service_(service),
      clock_(clock),
      buffers_(settings.buffer_bytes_max),
      loop_(net::make_loop(settings.loop)),
      now_(clock.now()),
      established_(settings.handover_capacity) {}

Worker::~Worker() = default;

bool Worker::hand_over(net::Fd&& fd) {
  if (!established_.push(std::move(fd))) return false;
  ++handed_over_;
  loop_->wake();
  return true;
}

void Worker::post(std::function<void()> task) {
  {
    const std::scoped_lock lock(tasks_mutex_);
    tasks_.push_back(std::move(task));
  }
  has_tasks_.store(true, std::memory_order_release);
  loop_->wake();
}

void Worker::start_drain() {
  drain_wanted_.store(true, std::memory_order_release);
  loop_->wake();
}

void Worker::stop() {
  stop_wanted_.store(true, std::memory_order_release);
  loop_->wake();
}

void Worker::run() {
  while (turn()) {
  }
  // Whoever is left is closed; the kernel may use a buffer until it has said that it is done with it.
  for (const auto& session : sessions_) {
    if (session != nullptr) session->close();
  }
  while (connections() > 0) {
    loop_->wait(settings_.wait_ms);
    loop_->dispatch();
    graveyard_.clear();
  }
}

// One turn of the loop; false when the worker has nothing left to do.
bool Worker::turn() {
  const bool busy = !ready_.empty() || sweep_slot_ > 0 || drain_ == Drain::kCollect;
  loop_->wait(busy ? 0 : settings_.wait_ms);
  now_ = clock_.now();
  turn_requests_ = 0;
  service_.turn(now_);
  run_tasks();
  adopt_established();
  run_ready();
  const std::size_t received = loop_->dispatch();
  sweep_deadlines();
  if (buffers_.over_limit()) shed_buffers();
  graveyard_.clear();

  metrics_.event_loop.add();
  metrics_.event_read.add(received);
  if (turn_requests_ > 0) {
    metrics_.process_req.add(turn_requests_);
    metrics_.request_latency.record(clock_.now().mono_ns - now_.mono_ns, turn_requests_);
  }
  metrics_.session_buffer_byte.set(static_cast<std::int64_t>(buffers_.bytes_in_use()));

  if (stop_wanted_.load(std::memory_order_acquire)) return false;
  if (drain_wanted_.load(std::memory_order_acquire)) begin_drain();
  return drain_ != Drain::kFinish || connections() > 0;
}

void Worker::run_tasks() {
  if (!has_tasks_.load(std::memory_order_acquire)) return;
  std::vector<std::function<void()>> tasks;
  {
    const std::scoped_lock lock(tasks_mutex_);
    tasks.swap(tasks_);
    has_tasks_.store(false, std::memory_order_relaxed);
  }
  for (const auto& task : tasks) task();
}

void Worker::adopt_established() {
  while (auto fd = established_.pop()) {
    if (free_slots_.empty()) {
      free_slots_.push_back(static_cast<std::uint32_t>(sessions_.size()));
      sessions_.emplace_back();
      generations_.push_back(0);
    }
    const std::uint32_t slot = free_slots_.back();
    free_slots_.pop_back();
    const SessionId id{slot, generations_[slot]};
    sessions_[slot] = std::make_unique<Session>(*this, id, service_.start(), fd->get());
    loop_->attach(*sessions_[slot], std::move(*fd));
    connections_.store(connections() + 1, std::memory_order_relaxed);
    metrics_.tcp_conn_curr.add(1);
  }
}

void Worker::run_ready() {
  ready_now_.swap(ready_);
  for (Session* session : ready_now_) {
    metrics_.session_yield.add();
    session->serve_waiting();
  }
  ready_now_.clear();
}

void Worker::bury(Session& session) {
  const std::uint32_t slot = session.id().slot;
  graveyard_.push_back(std::move(sessions_[slot]));
  ++generations_[slot];
  free_slots_.push_back(slot);
  connections_.store(connections() - 1, std::memory_order_relaxed);
  closed_.store(closed_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  metrics_.tcp_conn_curr.add(-1);
  metrics_.tcp_close.add();
}

// Once a second every session's deadline is looked at, a bounded number per turn.
void Worker::sweep_deadlines() {
  if (sweep_slot_ == 0) {
    if (sweep_sec_ == now_.floor_sec) return;
    sweep_sec_ = now_.floor_sec;
  }
  const std::size_t end = std::min(sweep_slot_ + kSweepPerTurn, sessions_.size());
  for (; sweep_slot_ < end; ++sweep_slot_) {
    Session* session = sessions_[sweep_slot_].get();
    if (session == nullptr) continue;
    const std::uint32_t deadline = session->deadline_sec();
    if (deadline != 0 && now_.floor_sec > deadline) session->expire();
  }
  if (sweep_slot_ >= sessions_.size()) sweep_slot_ = 0;
}

// Closes the sessions that hold most until the rest is below the limit. Rare, so it may look at all of them.
void Worker::shed_buffers() {
  std::vector<Session*> holders;
  std::size_t in_use = buffers_.bytes_in_use();
  for (const auto& session : sessions_) {
    if (session == nullptr || session->held_bytes() == 0) continue;
    if (session->closing()) {
      in_use -= std::min(in_use, session->held_bytes());  // comes back with its last send
    } else {
      holders.push_back(session.get());
    }
  }
  std::ranges::sort(holders, std::ranges::greater{}, &Session::held_bytes);
  bool closed = false;
  for (Session* session : holders) {
    if (in_use <= settings_.buffer_bytes_max) break;
    in_use -= std::min(in_use, session->held_bytes());
    metrics_.session_buffer_exhausted.add();
    session->close();
    closed = true;
  }
  if (!closed) return;
  static log::Limit limit;
  log::limited(limit, log::Level::kWarn,
               "connection buffers above server.buffer_memory: closed the connections that held most");
}

// First one turn that only looks, so that everything received before now is either executed or still in the kernel;
// then each session answers as many bytes as the kernel holds for it and finishes.
void Worker::begin_drain() {
  if (drain_ == Drain::kNo) {
    drain_ = Drain::kCollect;
    return;
  }
  if (drain_ == Drain::kFinish) return;
  drain_ = Drain::kFinish;
  for (const auto& session : sessions_) {
    if (session != nullptr) session->drain(net::unread_bytes(session->fd()));
  }
}

void Worker::visit_connections(const std::function<void(const ConnectionView&)>& visit) const {
  for (const auto& session : sessions_) {
    if (session != nullptr) visit({session->fd(), now_.floor_sec - session->last_active_sec(), session->waiting()});
  }
}

}  // namespace pelikan::core
