#include "storage/segcache/populator.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>

namespace pelikan::storage::segcache {

Populator::Populator(Segments& segments, Index& index) : segments_(segments), index_(index) {
  index_.commit_ahead();
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are for threads that expect them
  try {
    thread_ = std::thread([this] { run(); });
  } catch (...) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Populator::~Populator() {
  ending_.store(true);
  if (!asked_.exchange(true)) work_.release();
  thread_.join();
}

void Populator::look() noexcept {
  if ((segments_.runs_short() || index_.runs_short()) && !asked_.exchange(true)) work_.release();
}

void Populator::run() noexcept {
  constexpr int kNice = 5;  // with 10 it does not keep up with a worker that stores all it can on the same core
  pthread_setname_np(pthread_self(), "pelikan_memory");
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNice);
  while (!ending_.load()) {
    work_.acquire();
    asked_.store(false);
    index_.commit_ahead();
    while (!ending_.load() && (segments_.populate() || index_.populate())) continue;
  }
}

}  // namespace pelikan::storage::segcache
