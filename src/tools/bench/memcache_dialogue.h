// The memcached text protocol as a client speaks it: get, set, delete. See dialogue.h.
//
// One get's reply, and what is expected next:
//
//   kLine  --"END"-->  answered (miss)
//   kLine  --"VALUE <key> <flags> <bytes>"-->  kData  --bytes and CRLF-->  kEnd  --"END"-->  answered (hit)
//   kLine  --an error line-->  answered (refused)
//
// Everything else, and a second VALUE, is garbage.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "tools/bench/dialogue.h"

namespace pelikan::tools::bench {

class MemcacheDialogue final : public Dialogue {
 public:
  MemcacheDialogue(std::uint32_t outstanding_max, Workload& workload);

  void compose(std::uint32_t count, Buffer& out) override;
  [[nodiscard]] bool scan(std::string_view bytes, Tally& tally) override;
  [[nodiscard]] std::uint32_t outstanding() const noexcept override { return composed_ - answered_; }

 private:
  enum class Expect : std::uint8_t { kLine, kData, kEnd };

  [[nodiscard]] char* write_request(const Request& next, char* out) const noexcept;
  // Takes what belongs to the present line (or value) off `bytes`. False: garbage.
  [[nodiscard]] bool scan_line(std::string_view& bytes, Tally& tally);
  [[nodiscard]] bool scan_data(std::string_view& bytes);
  [[nodiscard]] bool on_line(std::string_view line, Tally& tally);
  [[nodiscard]] bool on_value_line(std::string_view line);
  void answered() noexcept;
  // The requests under way are those of the numbers answered_ to composed_; the numbers wrap.
  [[nodiscard]] Request& request(std::uint32_t number) noexcept { return asked_[number & (asked_.size() - 1)]; }

  Workload& workload_;
  std::string set_tail_;        // " 0 ttl bytes\r\n"
  std::string value_tail_;      // " 0 100": what follows the key in an expected VALUE line
  std::vector<Request> asked_;  // a ring; its size is a power of two
  std::uint32_t composed_ = 0;
  std::uint32_t answered_ = 0;
  Expect expect_ = Expect::kLine;
  std::uint64_t data_bytes_ = 0;             // kData: of the value announced, without CRLF
  std::uint64_t data_seen_ = 0;              // kData: of these and the CRLF
  bool data_good_ = false;                   // kData, kEnd: nothing wrong so far
  std::array<char, kLineBytesMax> partial_;  // a line that came in pieces
  std::size_t partial_bytes_ = 0;
};

}  // namespace pelikan::tools::bench
