// The protocol, spoken aloud: transcript.txt beside this file, whose head explains its form. Every test of the whole
// protocol runs this one table: in memory cut at every byte, and over sockets.
// Failure: a line that does not follow the form is a CHECK.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pelikan::testing {

struct TranscriptStep {
  std::string send;
  std::string expect;                              // "" = no reply; wildcards as in the file
  std::uint32_t advance_sec = 0;                   // before sending
  bool closes = false;                             // the session ends after the reply
  [[nodiscard]] bool uses_token() const noexcept;  // what was captured earlier is part of `send`
};

struct TranscriptCase {
  std::string name;
  std::vector<TranscriptStep> steps;
};

[[nodiscard]] std::vector<TranscriptCase> load_transcript();

// Puts the captured token into what is to be sent.
[[nodiscard]] std::string fill_in(std::string_view send, std::string_view token);

// Whether `reply` is what `expect` allows. `token` receives what \{cas} stood for.
[[nodiscard]] bool matches(std::string_view expect, std::string_view reply, std::string& token);

}  // namespace pelikan::testing
