#include "net/loop.h"

#include "base/check.h"
#include "net/epoll_loop.h"

namespace pelikan::net {

EngineChoice choose_engine(Engine wanted) {
  if (wanted == Engine::kEpoll) return {Engine::kEpoll, "forced by net.engine"};
  return {Engine::kEpoll, "io_uring engine not there yet"};
}

std::unique_ptr<Loop> make_loop(const LoopOptions& options) {
  CHECK(options.engine != Engine::kAuto);
  return std::make_unique<EpollLoop>(options);
}

}  // namespace pelikan::net
