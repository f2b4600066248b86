#include "core/listener.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <tuple>

#include "log/log.h"

namespace pelikan::core {
namespace {

constexpr std::uint64_t kNanosPerMilli = 1'000'000;
constexpr std::uint64_t kFarewellNs = 2'000 * kNanosPerMilli;

}  // namespace

Listener::Listener(const ListenerSettings& settings, const std::vector<net::Listening>& sockets, ConnectionLimit& limit,
                   std::vector<Worker*> workers, const Clock& clock)
    : settings_(settings),
      buffers_(settings.buffer_bytes_max),
      loop_(net::make_loop(settings.loop)),
      sockets_(sockets),
      limit_(limit),
      workers_(std::move(workers)),
      next_worker_(settings.index),
      clock_(clock),
      scratch_(settings.credentials != nullptr ? net::tls::Session::kPlainBytesMax : 0) {}

Listener::~Listener() = default;

void Listener::run() {
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNice);
  for (const auto& socket : sockets_) {
    const bool tls = settings_.credentials != nullptr && !socket.name.starts_with("unix:");
    doors_.push_back(std::make_unique<Door>(*this, tls));
    loop_->listen(*doors_.back(), socket.fd.get());
  }
  metrics_.accepting.set(1);
  while (!stop_wanted_.load(std::memory_order_acquire)) turn(wait_ms());
  last_turns();
}

int Listener::wait_ms() const noexcept {
  if (!steps_.empty()) return 0;
  if (paused_at_ns_ != 0) return kAcceptPauseMs;
  return handshakes_.empty() ? -1 : kSweepMs;
}

void Listener::turn(int timeout_ms) {
  loop_->wait(timeout_ms);
  now_ns_ = clock_.now().mono_ns;
  metrics_.event_loop.add();
  buffers_.set_bytes_elsewhere(memory_.bytes_outside(buffers_));
  if (paused_at_ns_ != 0 && now_ns_ - paused_at_ns_ >= kAcceptPauseMs * kNanosPerMilli) {
    metrics_.pause_time.add((now_ns_ - paused_at_ns_) / 1000);
    paused_at_ns_ = 0;
  }
  loop_->dispatch();
  run_steps();
  sweep_deadlines();
  update_accepting();  // last: nothing else may wake us
  graveyard_.clear();
}

// What the kernel has completed by now is a connection like any other, and what it has received of a handshake, too.
void Listener::last_turns() {
  std::uint64_t before = 0;
  for (int i = 0; i < kLastTurns || (i < kLastTurnsBacklog && metrics_.tcp_accept.value() != before); ++i) {
    before = metrics_.tcp_accept.value();  // one per turn where listeners share their sockets
    turn(0);
  }
  const auto unfinished = [this] {
    return !steps_.empty() || std::ranges::any_of(handshakes_, [](const auto& one) { return one->leaving(); });
  };
  for (int i = 0; i < kLastTurnsTls && unfinished(); ++i) turn(steps_.empty() ? 1 : 0);
  finished_ = true;
  loop_->pause_accept();
  for (const auto& handshake : handshakes_) handshake->close();
  for (int i = 0; i < kLastTurnsTls && (i == 0 || !handshakes_.empty()); ++i) {
    loop_->wait(i == 0 ? 0 : 1);
    loop_->dispatch();
    graveyard_.clear();
  }
  metrics_.accepting.set(0);
}

void Listener::stop() {
  stop_wanted_.store(true, std::memory_order_release);
  loop_->wake();
}

void Listener::update_accepting() {
  const bool wanted = paused_at_ns_ == 0 && handshakes_.size() < settings_.handshakes_max;
  if (wanted == accepting_) return;
  accepting_ = wanted;
  metrics_.accepting.set(wanted ? 1 : 0);
  if (wanted) {
    loop_->resume_accept();
  } else {
    loop_->pause_accept();
  }
}

// --- accepting ------------------------------------------------------------------------------------------------------

void Listener::accept(net::Fd fd, bool tls) {
  if (finished_) return;  // the kernel had accepted it already
  metrics_.tcp_accept.add();
  if (!limit_.acquire()) {
    metrics_.tcp_reject.add();
    return refuse(fd, tls);
  }
  net::set_no_delay(fd.get());
  if (tls) return begin_handshake(std::move(fd));
  auto established = std::make_unique<Established>();
  established->fd = std::move(fd);
  hand_over(std::move(established));
}

void Listener::accept_failed(int error) {
  metrics_.event_error.add();
  accepting_ = false;  // the loop has stopped by itself
  metrics_.accepting.set(0);
  paused_at_ns_ = now_ns_;
  static log::Limit limit;
  log::limited(limit, log::Level::kWarn,
               "cannot accept for now: {} (raise the limit of open files, or lower server.max_connections)",
               std::strerror(error));
}

// The peer may have sent something already: it is read, so that close() does not turn into a reset that overtakes the
// message. Who expects TLS could not read the message.
void Listener::refuse(const net::Fd& fd, bool tls) {
  std::array<char, 4096> unread;
  const std::string& message = settings_.refusal;
  if (!tls) (void)!::send(fd.get(), message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  ::shutdown(fd.get(), SHUT_WR);
  for (int i = 0; i < 16 && ::recv(fd.get(), unread.data(), unread.size(), MSG_DONTWAIT) > 0; ++i) {
  }
}

void Listener::hand_over(std::unique_ptr<Established> established) {
  choose().hand_over(settings_.index, std::move(established));
}

Worker& Listener::choose() noexcept {
  if (!settings_.least_loaded) return *workers_[next_worker_++ % workers_.size()];
  return **std::ranges::min_element(workers_, {}, [](const Worker* worker) {
    return std::tuple(worker->load_permille() / 100, worker->connections_reserved());
  });
}

// --- handshakes -----------------------------------------------------------------------------------------------------

void Listener::begin_handshake(net::Fd fd) {
  const int number = fd.get();
  const auto context = settings_.credentials->current();
  auto tls = context->accept();
  if (tls == nullptr) {
    handshake_failed({net::tls::Cause::kResources, "no memory for it"}, net::peer_name(number));
    limit_.release();
    return;
  }
  const std::uint64_t deadline_ns = now_ns_ + settings_.handshake_timeout_ms * kNanosPerMilli;
  handshakes_.push_back(std::make_unique<Handshake>(*this, *context, std::move(tls), number, deadline_ns));
  handshakes_.back()->index = handshakes_.size() - 1;
  metrics_.handshake_curr.add(1);
  loop_->attach(*handshakes_.back(), std::move(fd));
}

void Listener::queue_step(Handshake& handshake) {
  if (std::exchange(handshake.queued, true)) return;
  steps_.push_back(&handshake);
}

void Listener::run_steps() {
  const std::size_t count = std::min(steps_.size(), kStepsPerTurn);
  for (std::size_t i = 0; i < count; ++i) {
    steps_[i]->step();
    ::sched_yield();  // a worker that woke up meanwhile on this processor need not wait for our time slice to end
  }
  steps_.erase(steps_.begin(), steps_.begin() + static_cast<std::ptrdiff_t>(count));
}

void Listener::sweep_deadlines() {
  if (handshakes_.empty() || now_ns_ - swept_at_ns_ < kSweepMs * kNanosPerMilli) return;
  swept_at_ns_ = now_ns_;
  for (const auto& handshake : handshakes_) {
    if (handshake->deadline_ns() <= now_ns_) handshake->expire();
  }
}

std::uint64_t Listener::farewell_deadline_ns() const noexcept { return now_ns_ + kFarewellNs; }

void Listener::handshake_failed(const net::tls::Failure& failure, const std::string& peer) {
  metrics_.handshake_ex.add();
  failures_.report(failure, peer);
}

// Health checks connect and close without a word: counted, not logged.
void Listener::handshake_abandoned(bool heard, const std::string& peer) {
  metrics_.handshake_ex.add();
  metrics_.handshake_abandoned.add();
  static log::Limit limit;
  if (heard) log::limited(limit, log::Level::kWarn, "TLS with {} failed: closed in mid handshake", peer);
}

void Listener::handshake_timed_out(bool heard, const std::string& peer) {
  metrics_.handshake_ex.add();
  metrics_.handshake_timeout.add();
  static log::Limit limit;
  log::limited(limit, log::Level::kWarn, "TLS with {} failed: the handshake was not done within {} ms{}", peer,
               settings_.handshake_timeout_ms, heard ? "" : ", nothing was received");
}

void Listener::handshake_done(Handshake& handshake, std::unique_ptr<Established> established) {
  metrics_.handshake.add();
  const net::tls::Session& tls = *established->tls;
  if (tls.resumed()) metrics_.handshake_resumed.add();
  if (!tls.peer().empty()) {
    static log::Limit limit;
    log::limited(limit, log::Level::kInfo, "client {} connected from {} ({}, {})", tls.peer(),
                 net::peer_name(established->fd.get()), tls.version(), tls.cipher());
  }
  hand_over(std::move(established));
  bury(handshake);
}

void Listener::handshake_closed(Handshake& handshake) {
  limit_.release();
  bury(handshake);
}

void Listener::bury(Handshake& handshake) {
  if (handshake.queued) std::erase(steps_, &handshake);
  const std::size_t index = handshake.index;
  graveyard_.push_back(std::move(handshakes_[index]));
  if (index + 1 != handshakes_.size()) {
    handshakes_[index] = std::move(handshakes_.back());
    handshakes_[index]->index = index;
  }
  handshakes_.pop_back();
  metrics_.handshake_curr.add(-1);
}

}  // namespace pelikan::core
