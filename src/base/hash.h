// The hash of a key: XXH3 (64 bits) under a secret drawn at start, so that a client cannot choose colliding keys.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace pelikan {

class KeyHash {
 public:
  static constexpr std::size_t kSecretBytes = 192;

  KeyHash();                                      // a secret from the kernel's random generator
  explicit KeyHash(std::uint64_t seed) noexcept;  // a fixed secret, for tests that must repeat

  [[nodiscard]] std::uint64_t operator()(std::string_view key) const noexcept;

 private:
  std::array<unsigned char, kSecretBytes> secret_;
};

}  // namespace pelikan
