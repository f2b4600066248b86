#include "tools/bench/workload.h"

#include <cstring>

namespace pelikan::tools::bench {

Workload::Workload(const Options& options, std::uint64_t seed)
    : keys_(options.keys),
      key_bytes_(options.key_bytes),
      value_bytes_(options.value_bytes),
      ttl_sec_(options.ttl_sec),
      until_get_(options.ratio[static_cast<std::size_t>(Action::kGet)]),
      until_set_(until_get_ + options.ratio[static_cast<std::size_t>(Action::kSet)]),
      until_delete_(until_set_ + options.ratio[static_cast<std::size_t>(Action::kDelete)]),
      random_(seed),
      noise_(kStretches + value_bytes_, '\0') {
  if (options.zipf_exponent > 0) zipf_.emplace(keys_, options.zipf_exponent);
  Random bytes(1);  // the same noise in every process: one may check what another has stored
  for (char& byte : noise_) byte = static_cast<char>(bytes.next());
}

Request Workload::next() noexcept {
  if (filled_) return {.action = Action::kSet, .key = (*filled_)++};
  const std::uint32_t key = zipf_ ? zipf_->draw(random_) : random_.below(keys_);
  if (until_get_ == until_delete_) return {.action = Action::kGet, .key = key};
  const std::uint32_t drawn = random_.below(until_delete_);
  if (drawn < until_get_) return {.action = Action::kGet, .key = key};
  return {.action = drawn < until_set_ ? Action::kSet : Action::kDelete, .key = key};
}

void Workload::write_key(std::uint32_t key, char* out) const noexcept {
  std::memset(out, '0', key_bytes_);
  for (char* digit = out + key_bytes_; key > 0; key /= 10) *--digit = static_cast<char>('0' + key % 10);
}

}  // namespace pelikan::tools::bench
