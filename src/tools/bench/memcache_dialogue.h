// The text protocols of memcached as a client speaks them: the classic one (get, set, delete) and the meta commands
// (mg, ms, md). See dialogue.h.
#pragma once

#include "tools/bench/prepared_dialogue.h"

namespace pelikan::tools::bench {

// How many bytes the line has, with its end, that is at the front of `bytes`; one more than there are: it is not whole.
[[nodiscard]] std::size_t line_bytes(std::string_view bytes) noexcept;

class MemcacheDialogue final : public PreparedDialogue {
 public:
  MemcacheDialogue(std::uint32_t outstanding_max, Workload& workload);

 private:
  [[nodiscard]] std::size_t head_bytes(std::string_view bytes) const noexcept override { return line_bytes(bytes); }
  [[nodiscard]] Says read_head(std::string_view head) override;
  [[nodiscard]] Says read_value_line(std::string_view line);

  std::string value_line_;  // the expected one, without "VALUE " and line end
};

class MetaDialogue final : public PreparedDialogue {
 public:
  MetaDialogue(std::uint32_t outstanding_max, Workload& workload);

 private:
  [[nodiscard]] std::size_t head_bytes(std::string_view bytes) const noexcept override { return line_bytes(bytes); }
  [[nodiscard]] Says read_head(std::string_view head) override;
};

}  // namespace pelikan::tools::bench
