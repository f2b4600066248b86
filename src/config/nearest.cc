#include "config/nearest.h"

#include <algorithm>
#include <array>

namespace pelikan::config {
namespace {
constexpr std::size_t kMaxBytes = 64;
}

std::size_t edit_distance(std::string_view a, std::string_view b) noexcept {
  a = a.substr(0, kMaxBytes);
  b = b.substr(0, kMaxBytes);
  std::array<std::array<std::size_t, kMaxBytes + 1>, kMaxBytes + 1> cost{};
  for (std::size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replace = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[a.size()][b.size()];
}

}  // namespace pelikan::config
