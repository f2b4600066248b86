#include "tools/bench/pacer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"

namespace pelikan::tools::bench {

PaceCounts& PaceCounts::operator+=(const PaceCounts& other) noexcept {
  sent += other.sent;
  late += other.late;
  held += other.held;
  never_sent += other.never_sent;
  last_sent_ns = std::max(last_sent_ns, other.last_sent_ns);
  lag_ns += other.lag_ns;
  lag_max_ns = std::max(lag_max_ns, other.lag_max_ns);
  return *this;
}

Pacer::Pacer(double requests_per_second, std::uint64_t seed) noexcept
    : gap_ns_(1e9 / requests_per_second), random_(seed) {}

void Pacer::start(std::uint64_t begin_ns, std::uint64_t end_ns) noexcept {
  begin_ns_ = begin_ns;
  end_ns_ = end_ns;
  drawn_ns_ = 0;
  holding_ = false;
  room_since_ns_ = begin_ns;
  counts_ = {};
  draw();
}

void Pacer::draw() noexcept {
  drawn_ns_ -= gap_ns_ * std::log1p(-random_.unit());
  const double left_ns = static_cast<double>(end_ns_ - begin_ns_) - drawn_ns_;
  next_ns_ = left_ns > 0 ? begin_ns_ + static_cast<std::uint64_t>(drawn_ns_) : kNever;
}

std::uint64_t Pacer::take(std::uint64_t now_ns) noexcept {
  DCHECK(due(now_ns));
  if (std::exchange(holding_, false)) room_since_ns_ = now_ns;
  const std::uint64_t intended_ns = next_ns_;
  if (intended_ns < room_since_ns_) ++counts_.held;
  const std::uint64_t lag_ns = now_ns - std::max(intended_ns, room_since_ns_);
  if (lag_ns > PaceCounts::kLateNs) ++counts_.late;
  ++counts_.lag_ns.buckets[metrics::FineCounts::Layout::bucket_of(lag_ns)];
  counts_.lag_max_ns = std::max(counts_.lag_max_ns, lag_ns);
  ++counts_.sent;
  counts_.last_sent_ns = now_ns - begin_ns_;
  draw();
  return intended_ns;
}

void Pacer::stop() noexcept {
  if (next_ns_ == kNever) return;
  const double left_ns = static_cast<double>(end_ns_ - begin_ns_) - drawn_ns_;
  counts_.never_sent += 1 + static_cast<std::uint64_t>(left_ns / gap_ns_);
  next_ns_ = kNever;
}

}  // namespace pelikan::tools::bench
