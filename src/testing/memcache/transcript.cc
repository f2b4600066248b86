#include "testing/memcache/transcript.h"

#include <cctype>
#include <fstream>

#include "base/bytes.h"
#include "base/check.h"

namespace pelikan::testing {
namespace {

constexpr std::string_view kCas = "\\{cas}";
constexpr std::string_view kWord = "\\{word}";

int hex_digit(char c) {
  const char lower = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower >= 'a' ? lower - 'a' + 10 : lower - '0';
}

// The escapes of the file, but for the wildcards, which stay as they are.
std::string unescape(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    if (text.front() != '\\') {
      out += text.front();
      text.remove_prefix(1);
      continue;
    }
    CHECK(text.size() >= 2);
    if (text.starts_with(kCas) || text.starts_with(kWord)) {
      const std::size_t size = text.find('}') + 1;
      out += text.substr(0, size);
      text.remove_prefix(size);
    } else if (text[1] == '{') {  // \{text*count}
      const std::size_t star = text.find('*'), close = text.find('}');
      CHECK(star != text.npos && close != text.npos && star < close);
      const auto count = parse_decimal<std::size_t>(text.substr(star + 1, close - star - 1));
      CHECK(count.has_value());
      const std::string piece = unescape(text.substr(2, star - 2));
      for (std::size_t i = 0; i < *count; ++i) out += piece;
      text.remove_prefix(close + 1);
    } else if (text[1] == 'x') {
      CHECK(text.size() >= 4);
      out += static_cast<char>(hex_digit(text[2]) * 16 + hex_digit(text[3]));
      text.remove_prefix(4);
    } else {
      const std::size_t which = std::string_view("rn\\t").find(text[1]);
      CHECK(which != std::string_view::npos);
      out += "\r\n\\\t"[which];
      text.remove_prefix(2);
    }
  }
  return out;
}

}  // namespace

bool TranscriptStep::uses_token() const noexcept { return send.find(kCas) != std::string::npos; }

std::vector<TranscriptCase> load_transcript() {
  std::ifstream file(PELIKAN_TRANSCRIPT);
  CHECK(file.is_open());
  std::vector<TranscriptCase> cases;
  bool replying = true;  // the next "> " begins a new step
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.front() == '#') continue;
    CHECK(line.size() >= 2);
    const std::string_view text = std::string_view(line).substr(2);
    if (line.starts_with("= ")) {
      cases.push_back({std::string(text), {}});
      replying = true;
      continue;
    }
    CHECK(!cases.empty());
    std::vector<TranscriptStep>& steps = cases.back().steps;
    if (line.starts_with("@ ") || (line.starts_with("> ") && replying)) steps.emplace_back();
    CHECK(!steps.empty());
    TranscriptStep& step = steps.back();
    if (line.starts_with("> ")) {
      step.send += unescape(text);
    } else if (line.starts_with("< ")) {
      step.expect += unescape(text);
    } else if (line.starts_with("@ ")) {
      step.advance_sec = parse_decimal<std::uint32_t>(text).value();
    } else {
      CHECK(line == "! closed");
      step.closes = true;
    }
    replying = line.front() == '<' || line.front() == '!';
  }
  return cases;
}

std::string fill_in(std::string_view send, std::string_view token) {
  std::string out(send);
  for (std::size_t at = out.find(kCas); at != out.npos; at = out.find(kCas)) out.replace(at, kCas.size(), token);
  return out;
}

bool matches(std::string_view expect, std::string_view reply, std::string& token) {
  while (!expect.empty()) {
    const bool is_cas = expect.starts_with(kCas);
    if (!is_cas && !expect.starts_with(kWord)) {
      if (reply.empty() || reply.front() != expect.front()) return false;
      expect.remove_prefix(1);
      reply.remove_prefix(1);
      continue;
    }
    const std::string_view found =
        reply.substr(0, is_cas ? reply.find_first_not_of("0123456789") : reply.find_first_of(" \r\n"));
    if (found.empty()) return false;
    if (is_cas) token = found;
    reply.remove_prefix(found.size());
    expect.remove_prefix(is_cas ? kCas.size() : kWord.size());
  }
  return reply.empty();
}

}  // namespace pelikan::testing
