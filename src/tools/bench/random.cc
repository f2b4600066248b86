#include "tools/bench/random.h"

#include <algorithm>
#include <cmath>

namespace pelikan::tools::bench {
namespace {

constexpr double kTiny = 1e-8;

// (e^t - 1) / t and log(1 + t) / t, continued through t = 0: they make the formulas below hold for exponent 1 too.
double expm1_over(double t) { return std::abs(t) > kTiny ? std::expm1(t) / t : 1 + t / 2; }
double log1p_over(double t) { return std::abs(t) > kTiny ? std::log1p(t) / t : 1 - t / 2; }

}  // namespace

Zipf::Zipf(std::uint32_t count, double exponent) noexcept
    : count_(count),
      exponent_(exponent),
      area_low_(integral(1.5) - 1),
      area_high_(integral(count_ + 0.5)),
      sure_within_(2 - inverse_integral(integral(2.5) - weight(2))) {}

std::uint32_t Zipf::draw(Random& random) const noexcept {
  while (true) {
    const double area = area_high_ + random.unit() * (area_low_ - area_high_);
    const double x = inverse_integral(area);
    const double number = std::clamp(std::round(x), 1.0, count_);
    if (number - x <= sure_within_ || area >= integral(number + 0.5) - weight(number)) {
      return static_cast<std::uint32_t>(number) - 1;
    }
  }
}

double Zipf::weight(double x) const noexcept { return std::exp(-exponent_ * std::log(x)); }

double Zipf::integral(double x) const noexcept {
  const double log_x = std::log(x);
  return expm1_over((1 - exponent_) * log_x) * log_x;
}

double Zipf::inverse_integral(double area) const noexcept {
  const double t = std::max(area * (1 - exponent_), -1.0);
  return std::exp(log1p_over(t) * area);
}

}  // namespace pelikan::tools::bench
