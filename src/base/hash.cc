#include "base/hash.h"

#include <sys/random.h>

#include <random>
#include <system_error>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace pelikan {

static_assert(KeyHash::kSecretBytes >= XXH3_SECRET_SIZE_MIN);

KeyHash::KeyHash() {
  if (getrandom(secret_.data(), secret_.size(), 0) != static_cast<ssize_t>(secret_.size())) {
    throw std::system_error(errno, std::generic_category(), "cannot draw the hash secret");
  }
}

KeyHash::KeyHash(std::uint64_t seed) noexcept {
  std::mt19937_64 random(seed);
  for (auto& byte : secret_) byte = static_cast<unsigned char>(random());
}

std::uint64_t KeyHash::operator()(std::string_view key) const noexcept {
  return XXH3_64bits_withSecret(key.data(), key.size(), secret_.data(), secret_.size());
}

}  // namespace pelikan
