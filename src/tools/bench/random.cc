#include "tools/bench/random.h"

#include <algorithm>
#include <cmath>

namespace pelikan::tools::bench {
namespace {

constexpr std::uint32_t kAlone = 256;  // numbers with an entry of their own
constexpr std::uint32_t kGrowth = 16;  // a range is this part of its first number long
constexpr double kCoins = 0x1p32;

std::uint32_t coins(double probability) noexcept {
  return static_cast<std::uint32_t>(std::min(probability * kCoins, kCoins - 1));
}

}  // namespace

Zipf::Zipf(std::uint32_t count, double exponent) : exponent_(exponent) {
  make_ranges(count);
  make_aliases();
}

void Zipf::make_ranges(std::uint32_t count) {
  for (std::uint32_t first = 0; first < count; first += entries_.back().numbers) {
    Entry entry{.first = first};
    if (first >= kAlone) entry.numbers = std::min(first / kGrowth, count - first);
    entry.sure = coins(share(first + entry.numbers - 1, first) / kCoins);
    entries_.push_back(entry);
  }
}

// Each entry gives what it lacks of the average to one that has more, and becomes its alias for that part.
void Zipf::make_aliases() {
  std::vector<double> parts(entries_.size());  // of the average
  double total = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) total += parts[i] = entries_[i].numbers * share(entries_[i].first, 0);
  std::vector<std::size_t> poor;
  std::vector<std::size_t> rich;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    parts[i] *= static_cast<double>(parts.size()) / total;
    entries_[i].alias = static_cast<std::uint32_t>(i);
    (parts[i] < 1 ? poor : rich).push_back(i);
  }
  while (!poor.empty() && !rich.empty()) {
    const std::size_t from = poor.back();
    const std::size_t to = rich.back();
    poor.pop_back();
    entries_[from].own = coins(parts[from]);
    entries_[from].alias = static_cast<std::uint32_t>(to);
    parts[to] -= 1 - parts[from];
    if (parts[to] >= 1) continue;
    rich.pop_back();
    poor.push_back(to);
  }
}

double Zipf::share(std::uint32_t number, std::uint32_t first) const noexcept {
  return kCoins * std::pow((number + 1.0) / (first + 1.0), -exponent_);
}

}  // namespace pelikan::tools::bench
