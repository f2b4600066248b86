// Bytes as operations on a cache and its model (model.h): the first byte chooses policy and heap, then each operation
// takes an opcode, a key number and what it needs.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "storage/segcache/model.h"

namespace pelikan::storage::segcache {
namespace {

class Bytes {
 public:
  Bytes(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}
  [[nodiscard]] bool empty() const { return at_ == end_; }
  std::uint32_t one() { return empty() ? 0 : *at_++; }
  std::uint32_t two() {
    const std::uint32_t low = one();
    return low | (one() << 8);
  }

 private:
  const std::uint8_t* at_;
  const std::uint8_t* end_;
};

// A byte that reaches from a second to years, exactly or almost at the powers of two.
std::uint32_t ttl_sec(std::uint32_t byte) {
  const std::uint32_t power = byte >> 3;
  if (power == 0) return byte;
  return (1U << (power - 1)) + (byte & 7);
}

void step(ModelRun& run, Bytes& bytes) {
  using When = ModelRun::When;
  const std::uint32_t opcode = bytes.one() % 16;
  const std::uint32_t n = bytes.one();
  std::string key = "k" + std::to_string(n);
  if (n % 16 == 0) key.resize(n + 3, '.');
  switch (opcode) {
    case 0: return run.get(key, true);
    case 1: return run.get(key, false);
    case 2:
    case 3:
    case 4:
    case 5: {
      const auto when = static_cast<When>(opcode - 2);
      const std::uint32_t value_bytes = bytes.two() % 6000;
      const std::uint32_t flags = bytes.one();
      return run.store(key, value_bytes, flags, ttl_sec(bytes.one()), when);
    }
    case 6: return run.extend(key, bytes.one(), true);
    case 7: return run.extend(key, bytes.one(), false);
    case 8: return run.touch(key, ttl_sec(bytes.one()));
    case 9: return run.erase(key);
    case 10: return run.erase_by_verdict(key);
    case 11: return run.advance(n);
    case 12: return run.advance(n == 0 ? 1U << (bytes.one() % 27) : 1);
    case 13: return run.visit(n);
    case 14: return n == 0 ? run.flush() : run.get(key, true);
    default: {  // many at once, so that short inputs fill the heap
      const std::uint32_t value_bytes = bytes.one() * 4;
      const std::uint32_t ttl = ttl_sec(bytes.one());
      for (std::uint32_t i = 0; i < n; ++i) run.store(key + std::to_string(i), value_bytes, 0, ttl, When::kAlways);
      return;
    }
  }
}

}  // namespace
}  // namespace pelikan::storage::segcache

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pelikan::storage::segcache;
  constexpr std::size_t kOperationBytesMax = 512;
  Bytes bytes(data, std::min(size, kOperationBytesMax));
  const std::uint32_t setup = bytes.one();
  constexpr const char* kPolicies[] = {"merge", "fifo", "none", "seger", "random", "random_fifo", "cte", "util"};
  constexpr std::size_t kPolicyCount = std::size(kPolicies);
  SegOptions options;
  options.eviction.set(kPolicies[setup % kPolicyCount]);
  options.heap_size.set(std::uint64_t{64} << (setup / kPolicyCount % 3) << 10);
  options.segment_size.set(std::uint64_t{4096} << (setup / kPolicyCount / 3 % 3));
  options.hash_power.set(3);
  ModelRun run(options, 1);
  while (!bytes.empty()) step(run, bytes);
  run.check_all();
  return 0;
}
