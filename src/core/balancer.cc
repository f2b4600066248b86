#include "core/balancer.h"

#include <algorithm>
#include <utility>

namespace pelikan::core {
namespace {

constexpr std::uint64_t kOneMove = 1'000'000'000;  // a move per second, times a second in ns

}  // namespace

std::optional<Balancer::Advice> Balancer::tick(std::span<const std::uint64_t> cpu_ns, std::uint64_t elapsed_ns) {
  const auto watched = std::exchange(watched_, std::nullopt);
  if (moves_per_sec_ == 0 || cpu_ns.size() < 2 || elapsed_ns == 0) return std::nullopt;
  const std::uint64_t earned = moves_per_sec_ * elapsed_ns;
  credit_ = std::min(credit_ + earned, std::max(earned, kOneMove));
  const auto [idlest, busiest] = std::ranges::minmax_element(cpu_ns);
  const auto most = static_cast<double>(*busiest);
  const auto least = static_cast<double>(*idlest);
  if (most < kBusyMin * static_cast<double>(elapsed_ns) || most - least < kDifferenceMin * most) return std::nullopt;
  const auto from = static_cast<std::size_t>(busiest - cpu_ns.begin());
  watched_ = from;
  if (watched != from) return Advice{.from = from};
  const std::uint64_t moves = credit_ / kOneMove;
  credit_ -= moves * kOneMove;
  return Advice{.from = from,
                .to = static_cast<std::size_t>(idlest - cpu_ns.begin()),
                .share = (most - least) / (2 * most),
                .sessions_max = moves};
}

}  // namespace pelikan::core
