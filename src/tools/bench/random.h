// Randomness of the load: fast, seeded, the same sequence on every machine.
// Owner: one client each. Threads: one.
#pragma once

#include <cstdint>

namespace pelikan::tools::bench {

// A counter scrambled by two multiplications (the mixing function of splitmix64).
class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept : state_(seed) {}

  [[nodiscard]] std::uint64_t next() noexcept {
    state_ += 0x9e3779b97f4a7c15;
    std::uint64_t bits = state_;
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111eb;
    return bits ^ (bits >> 31);
  }
  // In [0, bound).
  [[nodiscard]] std::uint32_t below(std::uint32_t bound) noexcept {
    return static_cast<std::uint32_t>(((next() >> 32) * bound) >> 32);
  }
  // In [0, 1).
  [[nodiscard]] double unit() noexcept { return static_cast<double>(next() >> 11) * 0x1p-53; }

 private:
  std::uint64_t state_;
};

// Numbers 0 .. count - 1, number k with a probability proportional to 1 / (k + 1)^exponent.
//
// Rejection-inversion: the sum is enclosed by an integral that can be inverted, so a draw needs no table and about one
// try whatever the count. REQUIRES: count >= 1, exponent > 0.
class Zipf {
 public:
  Zipf(std::uint32_t count, double exponent) noexcept;

  [[nodiscard]] std::uint32_t draw(Random& random) const noexcept;

 private:
  [[nodiscard]] double weight(double x) const noexcept;    // x^-exponent
  [[nodiscard]] double integral(double x) const noexcept;  // of weight, from 1 to x
  [[nodiscard]] double inverse_integral(double area) const noexcept;

  double count_;
  double exponent_;
  double area_low_;
  double area_high_;
  double sure_within_;  // an x this close below its number needs no second look
};

}  // namespace pelikan::tools::bench
