#include "core/process.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
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

void name_thread(const char* name) { pthread_setname_np(pthread_self(), name); }

}  // namespace

Process::Process(const CoreOptions& options, Service& service, const Clock& clock)
    : engine_(net::choose_engine(engine_named(options.net.engine()))),
      max_connections_(fit_open_files(options.server.max_connections())),
      drain_timeout_ms_(static_cast<int>(options.server.drain_timeout().count())),
      unix_path_(options.server.unix_socket()),
      signals_(block_signals()),
      worker_ended_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      sockets_(bind_all(options)) {
  if (max_connections_ < options.server.max_connections()) {
    log::warn(
        "server.max_connections is {} instead of {}: the limit of open files allows no more (raise it with ulimit -n)",
        max_connections_, options.server.max_connections());
  }
  if (options.worker.threads() > 1)
    log::warn("worker.threads = {}: this version runs one worker", options.worker.threads());
  WorkerSettings settings;
  settings.loop.engine = engine_.engine;
  settings.buffer_bytes_max = options.server.buffer_memory().bytes;
  settings.idle_timeout_sec = static_cast<std::uint32_t>((options.server.idle_timeout().count() + 999) / 1000);
  settings.wait_ms = static_cast<int>(options.worker.timeout());
  worker_ = std::make_unique<Worker>(settings, service, clock);
  listener_ = std::make_unique<Listener>(settings.loop, sockets_, max_connections_, std::string(service.refusal()),
                                         *worker_, clock);
}

Process::~Process() {
  if (listener_thread_.joinable()) listener_->stop();
  if (worker_thread_.joinable()) worker_->stop();
  remove_unix_socket();
}

void Process::remove_unix_socket() noexcept {
  if (!unix_path_.empty()) ::unlink(std::exchange(unix_path_, {}).c_str());
}

void Process::start() {
  log::info("sockets are driven by {}: {}", engine_.engine == net::Engine::kUring ? "io_uring" : "epoll",
            engine_.reason);
  worker_thread_ = std::jthread([this] {
    name_thread("pelikan_work");
    worker_->run();
    const std::uint64_t one = 1;
    (void)!::write(worker_ended_.get(), &one, sizeof(one));
  });
  listener_thread_ = std::jthread([this] {
    name_thread("pelikan_listen");
    listener_->run();
  });
  notify_service_manager("READY=1");
}

void Process::wait(const std::function<void()>& on_drain, const std::function<void()>& on_hangup) {
  for (;;) {
    pollfd waiting{.fd = signals_.get(), .events = POLLIN, .revents = 0};
    ::poll(&waiting, 1, -1);
    const int signal = take_signal(signals_);
    if (signal == SIGHUP) on_hangup();
    if (signal == SIGTERM || signal == SIGINT) break;
  }
  drain(on_drain);
}

// The listener first, so that no session can arrive behind the drain; then the worker, within the deadline.
void Process::drain(const std::function<void()>& on_drain) {
  log::info("stopping: answering what was received, for at most {} ms", drain_timeout_ms_);
  notify_service_manager("STOPPING=1");
  on_drain();
  listener_->stop();
  listener_thread_.join();
  remove_unix_socket();  // while it is ours: once it is closed the path may become another server's
  for (auto& socket : sockets_) socket.fd.reset();
  worker_->start_drain();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(drain_timeout_ms_);
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) {
      log::warn(
          "stopped with {} connections open: drain_timeout passed before their clients took their replies or closed",
          worker_->connections());
      break;
    }
    pollfd waiting[] = {{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                        {.fd = worker_ended_.get(), .events = POLLIN, .revents = 0}};
    ::poll(waiting, 2, static_cast<int>(left.count()));
    if (waiting[1].revents != 0) break;
    const int signal = take_signal(signals_);
    if (signal == SIGTERM || signal == SIGINT) _exit(kExitSecondSignal);
  }
  worker_->stop();
  worker_thread_.join();
  log::info("stopped");
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
