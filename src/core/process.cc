#include "core/process.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <system_error>
#include <utility>

#include "base/bytes.h"
#include "core/notify.h"
#include "log/log.h"

namespace pelikan::core {
namespace {

constexpr int kExitSecondSignal = 130;

net::Fd block_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  net::Fd fd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) throw std::system_error(errno, std::generic_category(), "signalfd");
  return fd;
}

// The number of a signal that waits at `fd`, or 0.
int take_signal(const net::Fd& fd) noexcept {
  signalfd_siginfo info{};
  return ::read(fd.get(), &info, sizeof(info)) == sizeof(info) ? static_cast<int>(info.ssi_signo) : 0;
}

net::Engine engine_named(const std::string& name) {
  return name == "epoll" ? net::Engine::kEpoll : name == "io_uring" ? net::Engine::kUring : net::Engine::kAuto;
}

std::vector<net::Listening> bind_all(const CoreOptions& options) {
  const int backlog = static_cast<int>(options.listener.backlog());
  std::vector<net::Listening> sockets;
  sockets.push_back(net::listen_tcp(options.server.host(), static_cast<std::uint16_t>(options.server.port()), backlog));
  if (!options.server.unix_socket().empty()) {
    sockets.push_back(net::listen_unix(options.server.unix_socket(), 0700, backlog));
  }
  return sockets;
}

constexpr std::uint64_t kNanosPerMilli = 1'000'000;

std::uint64_t nanoseconds(clockid_t clock) noexcept {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * kNanosPerSecond + static_cast<std::uint64_t>(time.tv_nsec);
}

std::uint64_t steady_ns() noexcept { return nanoseconds(CLOCK_MONOTONIC); }

// Processor time that a thread has used. REQUIRES: it was not joined.
std::uint64_t processor_ns(std::jthread& thread) noexcept {
  clockid_t clock{};
  return ::pthread_getcpuclockid(thread.native_handle(), &clock) == 0 ? nanoseconds(clock) : 0;
}

void name_thread(const char* name) { pthread_setname_np(pthread_self(), name); }

}  // namespace

Execution choose_execution(const CoreOptions& options, bool storage_is_thread_safe) {
  const std::string& wanted = options.storage.execution();
  if (wanted == "thread") return Execution::kThread;
  if (options.worker.threads() == 1) return Execution::kOwned;
  if (storage_is_thread_safe) return Execution::kShared;
  if (wanted == "shared") {
    throw config::Error(
        "storage.execution = shared: this storage is not for several threads; use auto or thread, or worker.threads = "
        "1");
  }
  return Execution::kThread;
}

std::string_view name_of(Execution execution) noexcept {
  switch (execution) {
    case Execution::kOwned: return "owned";
    case Execution::kShared: return "shared";
    case Execution::kThread: return "thread";
  }
  return "";
}

Process::Process(const CoreOptions& options, const Services& services, const Clock& clock,
                 const net::tls::Credentials* credentials)
    : credentials_(credentials),
      engine_(net::choose_engine(engine_named(options.net.engine()))),
      limit_(fit_open_files(options.server.max_connections(), options.worker.threads() + options.listener.threads())),
      execution_(choose_execution(options, services.thread_safe)),
      drain_timeout_ms_(static_cast<int>(options.server.drain_timeout().count())),
      unix_path_(options.server.unix_socket()),
      signals_(block_signals()),
      worker_ended_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      sockets_(bind_all(options)),
      balancer_(options.worker.rebalance_moves()) {
  if (limit_.max() < options.server.max_connections()) {
    log::warn(
        "server.max_connections is {} instead of {}: the limit of open files allows no more (raise it with ulimit -n)",
        limit_.max(), options.server.max_connections());
  }
  const std::uint64_t executing = execution_ == Execution::kShared ? options.worker.threads() : 1;
  while (services_.size() < executing) services_.push_back(services.make());
  if (execution_ == Execution::kThread) {
    storage_ = std::make_unique<StorageThread>(*services_.front(), clock, options.server.buffer_memory().bytes);
  }
  make_workers(options, clock);
  make_listeners(options, clock);
  share_memory();
}

void Process::make_workers(const CoreOptions& options, const Clock& clock) {
  WorkerSettings settings;
  settings.loop.engine = engine_.engine;
  settings.loop.busy_poll = options.net.busy_poll();
  settings.listeners = options.listener.threads();
  settings.buffer_bytes_max = options.server.buffer_memory().bytes;
  settings.workers = options.worker.threads();
  settings.credentials = credentials_;
  settings.idle_timeout_sec = static_cast<std::uint32_t>((options.server.idle_timeout().count() + 999) / 1000);
  settings.wait_ms = static_cast<int>(options.worker.timeout());
  for (std::uint64_t i = 0; i < options.worker.threads(); ++i) {
    Service& service = *services_[execution_ == Execution::kShared ? i : 0];
    workers_.push_back(std::make_unique<Worker>(settings, service, limit_, clock, storage_.get()));
  }
  busy_ns_.resize(workers_.size());
}

void Process::make_listeners(const CoreOptions& options, const Clock& clock) {
  std::vector<Worker*> workers;
  for (const auto& worker : workers_) workers.push_back(worker.get());
  for (std::uint64_t i = 0; i < options.listener.threads(); ++i) {
    ListenerSettings settings;
    settings.loop.engine = engine_.engine;
    settings.loop.share_accepts = options.listener.threads() > 1;
    settings.index = i;
    settings.refusal = services_.front()->refusal();
    settings.least_loaded = options.worker.balance() == "least_loaded";
    settings.credentials = credentials_;
    settings.handshake_timeout_ms = static_cast<std::uint64_t>(options.listener.handshake_timeout().count());
    settings.handshakes_max = options.listener.max_handshakes();
    settings.buffer_bytes_max = options.server.buffer_memory().bytes;
    listeners_.push_back(std::make_unique<Listener>(settings, sockets_, limit_, workers, clock));
  }
}

// Every thread that holds buffers knows what the others hold.
void Process::share_memory() {
  StorageThread::BufferMemory all;
  for (const auto& listener : listeners_) all.pools.push_back(&listener->buffers());
  for (const auto& worker : workers_) {
    all.pools.push_back(&worker->buffers());
    if (worker->lane() != nullptr) all.lanes.push_back(worker->lane());
  }
  if (storage_ != nullptr) {
    all.pools.push_back(&storage_->buffers());
    storage_->share_memory(all);
  }
  for (const auto& listener : listeners_) listener->share_memory(all);
  for (const auto& worker : workers_) worker->share_memory(all);
}

Process::~Process() {
  if (!listener_threads_.empty()) {
    for (const auto& listener : listeners_) listener->stop();
    listener_threads_.clear();
  }
  if (!worker_threads_.empty()) {
    for (const auto& worker : workers_) worker->stop();
    worker_threads_.clear();
  }
  if (storage_thread_.joinable()) storage_->stop();
  remove_unix_socket();
}

void Process::remove_unix_socket() noexcept {
  if (!unix_path_.empty()) ::unlink(std::exchange(unix_path_, {}).c_str());
}

void Process::start() {
  log::info("sockets are driven by {}: {}", engine_.engine == net::Engine::kUring ? "io_uring" : "epoll",
            engine_.reason);
  log::info("{} worker{}, storage: {}; {}", workers_.size(), workers_.size() == 1 ? "" : "s", name_of(execution_),
            credentials_ == nullptr                                  ? "plain text"
            : credentials_->current()->requires_client_certificate() ? "TLS, client certificates required"
                                                                     : "TLS");
  if (storage_ != nullptr) {
    storage_thread_ = std::jthread([this] {
      name_thread("pelikan_storage");
      storage_->run();
    });
  }
  for (const auto& worker : workers_) {
    worker_threads_.emplace_back([this, &worker = *worker] {
      name_thread("pelikan_work");
      worker.run();
      const std::uint64_t one = 1;
      (void)!::write(worker_ended_.get(), &one, sizeof(one));
    });
  }
  for (const auto& listener : listeners_) {
    listener_threads_.emplace_back([&listener = *listener] {
      name_thread("pelikan_listen");
      listener.run();
    });
  }
  notify_service_manager("READY=1");
}

void Process::wait(const Events& events) {
  for (;;) {
    pollfd waiting[] = {{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                        {.fd = events.watched_fd, .events = POLLIN, .revents = 0}};
    const bool balancing = workers_.size() > 1;
    ::poll(waiting, 2, balancing ? Balancer::kIntervalMs : -1);
    if (balancing) balance();
    if (waiting[1].revents != 0) events.on_readable();
    const int signal = take_signal(signals_);
    if (signal == SIGHUP) events.on_hangup();
    if (signal == SIGTERM || signal == SIGINT) break;
  }
  drain(events.on_drain);
}

void Process::balance() {
  const std::uint64_t now_ns = steady_ns();
  const std::uint64_t elapsed_ns = now_ns - balanced_at_ns_;
  if (elapsed_ns < Balancer::kIntervalMs * kNanosPerMilli) return;
  std::vector<std::uint64_t> used_ns;
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    // Less busy polling, which is no load; that is time that passed, and may be more than the processor spent on it.
    const auto total_ns = static_cast<std::int64_t>(processor_ns(worker_threads_[i]) - workers_[i]->polled_ns());
    const auto used = total_ns - std::exchange(busy_ns_[i], total_ns);
    used_ns.push_back(used > 0 ? static_cast<std::uint64_t>(used) : 0);
    workers_[i]->set_load_permille(static_cast<unsigned>(used_ns.back() * 1000 / elapsed_ns));
  }
  if (std::exchange(balanced_at_ns_, now_ns) == 0) return;  // the first look only says where the clocks stand
  const auto advice = balancer_.tick(used_ns, elapsed_ns);
  if (!advice) return;
  Worker& from = *workers_[advice->from];
  Worker& to = *workers_[advice->to];
  from.post([&from, &to, advice = *advice] {
    if (advice.sessions_max == 0) return from.measure_sessions();
    from.give_away(to, advice.share, advice.sessions_max);
  });
}

// The listeners first, so that no session can arrive behind the drain; then the workers, within the deadline; then the
// storage thread, which has nothing to do any more.
void Process::drain(const std::function<void()>& on_drain) {
  log::info("stopping: answering what was received, for at most {} ms", drain_timeout_ms_);
  notify_service_manager("STOPPING=1");
  on_drain();
  for (const auto& listener : listeners_) listener->stop();
  listener_threads_.clear();
  remove_unix_socket();  // while it is ours: once it is closed the path may become another server's
  for (auto& socket : sockets_) socket.fd.reset();
  for (const auto& worker : workers_) worker->start_drain();
  if (!wait_for_workers()) {
    std::size_t open = 0;
    for (const auto& worker : workers_) open += worker->connections();
    log::warn(
        "stopped with {} connections open: drain_timeout passed before their clients took their replies or closed",
        open);
  }
  for (const auto& worker : workers_) worker->stop();
  worker_threads_.clear();
  if (storage_ != nullptr) {
    storage_->stop();
    storage_thread_.join();
  }
  log::info("stopped");
}

// Until all have ended (true) or the deadline has passed.
bool Process::wait_for_workers() {
  const std::uint64_t deadline_ns = steady_ns() + static_cast<std::uint64_t>(drain_timeout_ms_) * kNanosPerMilli;
  std::uint64_t ended = 0;
  while (ended < workers_.size()) {
    const std::uint64_t now_ns = steady_ns();
    if (now_ns >= deadline_ns) return false;
    pollfd waiting[] = {{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                        {.fd = worker_ended_.get(), .events = POLLIN, .revents = 0}};
    ::poll(waiting, 2, static_cast<int>((deadline_ns - now_ns) / kNanosPerMilli) + 1);
    std::uint64_t count = 0;
    if (waiting[1].revents != 0 && ::read(worker_ended_.get(), &count, sizeof(count)) == sizeof(count)) ended += count;
    const int signal = take_signal(signals_);
    if (signal == SIGTERM || signal == SIGINT) _exit(kExitSecondSignal);
  }
  return true;
}

void Process::post_to_storage(TaskQueue::Task task) {
  if (storage_ != nullptr) {
    storage_->post(std::move(task));
  } else {
    workers_.front()->post(std::move(task));
  }
}

void Process::recheck_sessions() {
  for (const auto& worker : workers_) {
    worker->post([&worker = *worker] { worker.recheck_sessions(); });
  }
}

void Process::visit_connections(const std::function<void(const ConnectionView&)>& visit) const {
  for (const auto& worker : workers_) worker->visit_connections(visit);
}

// However often it is asked for: only an operator's second signal means "at once".
void Process::request_shutdown() noexcept {
  static std::atomic_flag asked;
  if (!asked.test_and_set()) ::kill(::getpid(), SIGTERM);
}

std::uint16_t Process::tcp_port() const {
  const std::string& name = sockets_.front().name;
  return parse_decimal<std::uint16_t>(std::string_view(name).substr(name.rfind(':') + 1)).value_or(0);
}

std::string Process::addresses() const {
  std::string all;
  for (const auto& socket : sockets_) all += (all.empty() ? "" : ",") + socket.name;
  return all;
}

}  // namespace pelikan::core
