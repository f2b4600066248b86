#include "tools/bench/workload.h"

#include <algorithm>

namespace pelikan::tools::bench {
namespace {

constexpr std::size_t kDigitsMax = 10;  // of 32 bits

}  // namespace

Workload::Workload(const Options& options, std::uint64_t seed)
    : keys_(options.keys),
      key_bytes_(options.key_bytes),
      value_bytes_(options.value_bytes),
      eight_digits_(options.keys <= 100'000'000 && options.key_bytes >= 8),
      keys_per_get_(options.keys_per_get),
      ttl_sec_(options.ttl_sec),
      until_get_(options.ratio[static_cast<std::size_t>(Action::kGet)]),
      until_set_(until_get_ + options.ratio[static_cast<std::size_t>(Action::kSet)]),
      until_delete_(until_set_ + options.ratio[static_cast<std::size_t>(Action::kDelete)]),
      random_(seed),
      noise_(Values::kStretches + value_bytes_, '\0') {
  if (options.zipf_exponent > 0) zipf_.emplace(keys_, options.zipf_exponent);
  Random bytes(1);  // the same noise in every process: one may check what another has stored
  for (char& byte : noise_) byte = static_cast<char>(bytes.next());
}

void KeyWriter::write_all(std::uint32_t key, char* field) const noexcept {
  const std::size_t digits = std::min(key_bytes, kDigitsMax);
  for (char* digit = field + key_bytes; digit > field + key_bytes - digits; key /= 10)
    *--digit = static_cast<char>('0' + key % 10);
}

}  // namespace pelikan::tools::bench
