#include "core/worker.h"

#include <algorithm>
#include <bit>

#include "base/check.h"
#include "log/log.h"
#include "net/socket.h"

namespace pelikan::core {

Worker::Worker(const WorkerSettings& settings, Service& service, ConnectionLimit& limit, const Clock& clock,
               StorageThread* storage)
    : settings_(settings),
      service_(service),
      limit_(limit),
      clock_(clock),
      buffers_(settings.buffer_bytes_max),
      loop_(net::make_loop(settings.loop)),
      scratch_(net::tls::Session::kPlainBytesMax),
      now_(clock.now()) {
  if (storage != nullptr) lane_ = &storage->add_lane(limit.max(), *loop_);
  for (std::size_t i = 0; i < settings.listeners; ++i) {
    established_.push_back(std::make_unique<SpscRing<std::unique_ptr<Established>>>(std::bit_ceil(limit.max())));
  }
}

Worker::~Worker() = default;

void Worker::hand_over(std::size_t listener, std::unique_ptr<Established> established) {
  reserved_.fetch_add(1, std::memory_order_relaxed);
  CHECK(established_[listener]->push(std::move(established)));  // has room for as many as there may be
  loop_->wake();
}

// Counted first, then asked whether this worker is about to end, which looks at the two in the other order: one of us
// sees the other (docs/threads.md).
bool Worker::adopt(std::unique_ptr<Established>& established) {
  reserved_.fetch_add(1, std::memory_order_seq_cst);
  if (drain_wanted_.load(std::memory_order_seq_cst) || stop_wanted_.load(std::memory_order_seq_cst)) {
    reserved_.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  post([this, established = std::move(established)]() mutable { open(std::move(established)); });
  return true;
}

void Worker::post(TaskQueue::Task task) {
  tasks_.post(std::move(task));
  loop_->wake();
}

void Worker::start_drain() {
  drain_wanted_.store(true, std::memory_order_seq_cst);
  loop_->wake();
}

void Worker::stop() {
  stop_wanted_.store(true, std::memory_order_seq_cst);
  loop_->wake();
}

void Worker::run() {
  while (turn()) {
  }
  // Whoever is left is closed; the kernel may use a buffer until it has said that it is done with it, and the storage
  // thread a batch.
  for (bool first = true; first || !empty(); first = false) {
    for (const Slot& slot : slots_) {
      if (slot.session != nullptr) slot.session->close();
    }
    if (!first) wait(settings_.wait_ms);
    tasks_.run();
    adopt_established();
    collect_batches();
    loop_->dispatch();
    graveyard_.clear();
  }
  if (lane_ == nullptr) service_.rest();
}

// Between two waits is a turn of the storage, too.
void Worker::wait(int timeout_ms) {
  if (lane_ == nullptr) service_.rest();
  loop_->wait(timeout_ms);
  publish_polls();
  now_ = clock_.now();
  now_sec_ = now_.floor_sec;
  if (lane_ == nullptr) service_.turn(now_);
}

void Worker::publish_polls() {
  if (settings_.loop.busy_poll.count() == 0) return;
  const net::PollCounts& counts = loop_->poll_counts();
  metrics_.poll_found.add(counts.found - metrics_.poll_found.value());
  metrics_.poll_missed.add(counts.missed - metrics_.poll_missed.value());
  metrics_.poll_idle_ns.add(counts.idle_ns - metrics_.poll_idle_ns.value());
}

// One turn of the loop; false when the worker has nothing left to do.
bool Worker::turn() {
  const bool busy = !ready_.empty() || sweep_slot_ > 0 || rechecking_ || drain_ == Drain::kCollect;
  wait(busy ? 0 : settings_.wait_ms);
  turn_requests_ = 0;
  shed_above_bytes_ = buffer_share();
  buffers_.set_bytes_elsewhere(memory_.bytes_outside(buffers_));
  tasks_.run();
  adopt_established();
  collect_batches();
  run_ready();
  const std::size_t received = loop_->dispatch();
  sweep_deadlines();
  sweep_admission();
  if (buffers_.over_limit()) shed_buffers();
  flush_batches();
  graveyard_.clear();

  metrics_.event_loop.add();
  metrics_.event_read.add(received);
  if (turn_requests_ > 0) {
    metrics_.process_req.add(turn_requests_);
    if (lane_ == nullptr) metrics_.request_latency.record(clock_.now().mono_ns - now_.mono_ns, turn_requests_);
  }
  metrics_.session_buffer_byte.set(static_cast<std::int64_t>(buffers_.bytes_in_use()));

  if (stop_wanted_.load(std::memory_order_acquire)) return false;
  if (drain_wanted_.load(std::memory_order_acquire)) begin_drain();
  return drain_ != Drain::kFinish || !empty();
}

// --- sessions come and go -------------------------------------------------------------------------------------------

void Worker::adopt_established() {
  for (const auto& ring : established_) {
    while (auto established = ring->pop()) open(std::move(*established));
  }
}

void Worker::open(std::unique_ptr<Established> established) {
  const std::uint32_t slot = take_slot();
  const SessionId id{slot, slots_[slot].generation};
  net::Fd fd = std::move(established->fd);
  auto session = std::make_unique<Session>(*this, id, fd.get(), std::move(*established));
  Session& opened = *session;
  {
    const std::scoped_lock lock(table_mutex_);
    slots_[slot].session = std::move(session);
  }
  connections_ += 1;
  metrics_.tcp_conn_curr.add(1);
  const std::size_t unread = drain_ == Drain::kFinish ? net::unread_bytes(fd.get()) : 0;
  loop_->attach(opened, std::move(fd));
  // It may have been let in before a reload, and then it was nowhere where recheck_sessions() looks.
  if (settings_.credentials != nullptr) opened.recheck(*settings_.credentials->current());
  if (opened.closing()) return;
  opened.begin();
  if (drain_ == Drain::kFinish) opened.drain(unread);
}

std::uint32_t Worker::take_slot() {
  if (free_slots_.empty()) {
    const std::scoped_lock lock(table_mutex_);
    free_slots_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const std::uint32_t slot = free_slots_.back();
  free_slots_.pop_back();
  return slot;
}

// With its last tie to a session that has gone.
void Worker::free_slot(std::uint32_t slot) {
  free_slots_.push_back(slot);
  reserved_.fetch_sub(1, std::memory_order_relaxed);
}

std::unique_ptr<Session> Worker::take_out(Session& session) {
  Slot& slot = slots_[session.id().slot];
  ++slot.generation;
  connections_ -= 1;
  metrics_.tcp_conn_curr.add(-1);
  const std::scoped_lock lock(table_mutex_);
  return std::move(slot.session);
}

void Worker::bury(Session& session) {
  const std::uint32_t slot = session.id().slot;
  graveyard_.push_back(take_out(session));
  metrics_.tcp_close.add();
  if (slots_[slot].batch_away) return;  // collect_batches() does the rest
  free_slot(slot);
  limit_.release();
}

void Worker::pass_on(Session& session, net::Fd fd) {
  Worker* const to = drain_ == Drain::kNo ? session.destination() : nullptr;
  const std::uint32_t slot = session.id().slot;
  graveyard_.push_back(take_out(session));  // first: nobody else may look at it while it gives itself up
  auto established = std::make_unique<Established>(session.take_state());
  established->fd = std::move(fd);
  if (to != nullptr && to->adopt(established)) {
    metrics_.session_moved.add();
  } else {  // nobody moves during a drain
    reserved_.fetch_add(1, std::memory_order_relaxed);
    open(std::move(established));
  }
  free_slot(slot);
}

// --- the storage thread ---------------------------------------------------------------------------------------------

void Worker::send_to_storage(std::unique_ptr<Batch> batch) {
  slots_[batch->session.slot].batch_away = true;
  ++batches_away_;
  batch->left_at_ns = now_.mono_ns;
  outgoing_.push_back(std::move(batch));
}

void Worker::flush_batches() {
  if (outgoing_.empty()) return;
  metrics_.batch.add(outgoing_.size());
  for (const auto& batch : outgoing_) batch->leave();
  lane_->send(outgoing_);
  outgoing_.clear();
}

void Worker::collect_batches() {
  if (lane_ == nullptr) return;
  while (auto batch = lane_->receive()) {
    batch->arrive(buffers_);
    --batches_away_;
    const SessionId id = batch->session;
    Slot& slot = slots_[id.slot];
    slot.batch_away = false;
    if (batch->executed > 0) metrics_.request_latency.record(now_.mono_ns - batch->left_at_ns, batch->executed);
    if (slot.generation == id.generation) {
      slot.session->on_batch(std::move(batch));
    } else {
      metrics_.batch_stale.add();
      count_requests(batch->executed);
      free_slot(id.slot);
      limit_.release();
    }
  }
}

// --- turns ----------------------------------------------------------------------------------------------------------

void Worker::run_ready() {
  ready_now_.swap(ready_);
  for (Session* session : ready_now_) {
    metrics_.session_yield.add();
    session->serve_waiting();
  }
  ready_now_.clear();
}

// Once a second every session's deadline is looked at, a bounded number per turn.
void Worker::sweep_deadlines() {
  if (sweep_slot_ == 0) {
    if (sweep_sec_ == now_.floor_sec) return;
    sweep_sec_ = now_.floor_sec;
  }
  const std::size_t end = std::min(sweep_slot_ + kSweepPerTurn, slots_.size());
  for (; sweep_slot_ < end; ++sweep_slot_) {
    if (Session* session = slots_[sweep_slot_].session.get(); session != nullptr) session->look_at_clock();
  }
  if (sweep_slot_ >= slots_.size()) sweep_slot_ = 0;
}

void Worker::recheck_sessions() {
  rechecking_ = true;
  recheck_slot_ = 0;
}

void Worker::no_longer_admitted(const net::tls::Failure& why, int fd) {
  metrics_.session_no_longer_admitted.add();
  static log::Limit limit;
  log::limited(limit, log::Level::kWarn, "closed the session with {} after a reload: {}", net::peer_name(fd), why.text);
}

void Worker::tls_on_plain_port(int fd) {
  metrics_.session_tls_on_plain_port.add();
  static log::Limit limit;
  log::limited(limit, log::Level::kWarn, "closed the session with {}: it began TLS, and this port speaks plain text",
               net::peer_name(fd));
}

void Worker::sweep_admission() {
  if (!rechecking_) return;
  const auto context = settings_.credentials->current();
  for (std::size_t checks = 0; checks < kRechecksPerTurn && recheck_slot_ < slots_.size(); ++recheck_slot_) {
    Session* session = slots_[recheck_slot_].session.get();
    if (session != nullptr && session->recheck(*context)) ++checks;
  }
  rechecking_ = recheck_slot_ < slots_.size();
}

void Worker::measure_sessions() {
  for (const Slot& slot : slots_) {
    if (slot.session != nullptr) static_cast<void>(slot.session->take_activity());
  }
}

// The most active first, as long as they fit into the share: moving more than that would only swap the two workers.
void Worker::give_away(Worker& to, double share, std::size_t sessions_max) {
  struct Candidate {
    Session* session;
    std::uint64_t activity;
  };
  std::vector<Candidate> candidates;
  std::uint64_t total = 0;
  for (const Slot& slot : slots_) {
    if (slot.session == nullptr) continue;
    const std::uint64_t activity = slot.session->take_activity();
    total += activity;
    if (activity > 0 && slot.session->may_move()) candidates.push_back({slot.session.get(), activity});
  }
  std::ranges::sort(candidates, std::ranges::greater{}, &Candidate::activity);
  auto left = static_cast<std::uint64_t>(share * static_cast<double>(total));
  for (const Candidate& candidate : candidates) {
    if (sessions_max == 0) return;
    if (candidate.activity > left) continue;
    left -= candidate.activity;
    --sessions_max;
    candidate.session->move_to(to);
  }
}

// Closes the sessions that hold most until the rest is within 7/8 of this worker's share. It looks at all sessions, so
// it comes again within the turn only when another eighth has been used.
void Worker::shed_buffers() {
  const std::size_t target = buffer_share() / 8 * 7;
  std::vector<Session*> holders;
  std::size_t in_use = 0;
  for (const Slot& slot : slots_) {
    Session* session = slot.session.get();
    if (session == nullptr || session->held_bytes() == 0) continue;
    if (session->closing()) continue;  // its memory comes back with its last send or its batch
    in_use += session->held_bytes();
    holders.push_back(session);
  }
  std::ranges::sort(holders, std::ranges::greater{}, &Session::held_bytes);
  bool closed = false;
  for (Session* session : holders) {
    if (in_use <= target) break;
    in_use -= session->held_bytes();
    metrics_.session_buffer_exhausted.add();
    session->close();
    closed = true;
  }
  shed_above_bytes_ = std::max(buffers_.bytes_in_use(), target) + buffer_share() / 8;
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
  for (const Slot& slot : slots_) {
    if (slot.session != nullptr) slot.session->drain(net::unread_bytes(slot.session->fd()));
  }
}

void Worker::visit_connections(const std::function<void(const ConnectionView&)>& visit) const {
  const std::scoped_lock lock(table_mutex_);
  const std::uint32_t now_sec = now_sec_;
  for (const Slot& slot : slots_) {
    if (slot.session != nullptr && !slot.session->closing()) visit(slot.session->view(now_sec));
  }
}

}  // namespace pelikan::core
