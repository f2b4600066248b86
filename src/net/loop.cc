#include "net/loop.h"

#include <stdexcept>
#include <utility>

#include "base/check.h"
#include "net/epoll_loop.h"
#include "net/uring_loop.h"
#include "net/uring_probe.h"

namespace pelikan::net {

void Stream::on_detached(Fd /*fd*/) {
  check_failed("detach() is called for streams that expect it only", __FILE__, __LINE__);
}

EngineChoice choose_engine(Engine wanted) {
  if (wanted == Engine::kEpoll) return {Engine::kEpoll, "forced by net.engine"};
  std::string obstacle = probe_uring();
  if (wanted == Engine::kUring) {
    if (!obstacle.empty()) throw std::runtime_error("net.engine: io_uring does not work here: " + obstacle);
    return {Engine::kUring, "forced by net.engine"};
  }
  if (!obstacle.empty()) return {Engine::kEpoll, std::move(obstacle)};
  return {Engine::kUring, "probe passed"};
}

std::unique_ptr<Loop> make_loop(const LoopOptions& options) {
  CHECK(options.engine != Engine::kAuto);
  if (options.engine == Engine::kUring) return std::make_unique<UringLoop>(options);
  return std::make_unique<EpollLoop>(options);
}

}  // namespace pelikan::net
