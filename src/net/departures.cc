#include "net/departures.h"

#include <utility>

namespace pelikan::net {

void Departures::add(Stream& stream) {
  auto& state = stream.state_;
  if (state.departures > 0 && !state.closing) return;
  ++state.departures;
  streams_.push_back(&stream);
}

void Departures::finish(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    Stream& stream = *streams_[i];
    auto& state = stream.state_;
    if (--state.departures > 0) continue;             // close() came after detach(): its own entry counts
    if (state.queued || state.pending > 0) continue;  // something was asked for since
    if (state.closing) {
      state.fd.reset();
      state.output.reset();
      stream.on_closed();
    } else if (!state.output && !state.lost) {
      Fd fd = std::exchange(state, {}).fd;
      stream.on_detached(std::move(fd));
    }
  }
  streams_.erase(streams_.begin(), streams_.begin() + static_cast<std::ptrdiff_t>(count));
}

}  // namespace pelikan::net
