#include "net/tls/allow_list.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <functional>
#include <stdexcept>

#include "config/value.h"

namespace pelikan::net::tls {
namespace {

// What `*` and `?` do not stand for; NUL, which no name has, when they stand for everything.
char separator_of(NameKind kind) {
  switch (kind) {
    case NameKind::kDns: return '.';
    case NameKind::kUri: return '/';
    case NameKind::kEmail: return '@';
    case NameKind::kIp:
    case NameKind::kCn: return '\0';
  }
  return '\0';
}

std::string folded(NameKind kind, std::string_view text) {
  return kind == NameKind::kDns || kind == NameKind::kIp ? config::lower(text) : std::string(text);
}

// An address as certificates are shown with: "2001:db8:0::1" means "2001:db8::1".
std::string canonical(NameKind kind, std::string text) {
  std::array<unsigned char, sizeof(in6_addr)> bytes;
  std::array<char, INET6_ADDRSTRLEN> out;
  if (kind != NameKind::kIp || inet_pton(AF_INET6, text.c_str(), bytes.data()) != 1) return text;
  return inet_ntop(AF_INET6, bytes.data(), out.data(), out.size());
}

Pattern parse(std::string_view entry) {
  const auto fail = [&](const char* what) { throw std::runtime_error(config::quoted(clean(entry)) + " " + what); };
  if (entry.size() > AllowList::kPatternBytesMax) fail("is longer than 256 bytes");
  const std::size_t colon = entry.find(':');
  for (const NameKind kind : kNameKinds) {
    if (colon == std::string_view::npos || config::lower(entry.substr(0, colon)) != config::lower(prefix_of(kind)))
      continue;
    if (colon + 1 == entry.size()) fail("has no pattern behind the colon");
    return {kind, entry.substr(colon + 1)};
  }
  fail("must begin with URI: DNS: EMAIL: IP: or CN:");
  return {NameKind::kCn, ""};
}

}  // namespace

Pattern::Pattern(NameKind kind, std::string_view text) : kind_(kind) {
  const std::string pattern = canonical(kind, folded(kind, text));
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '?') {
      tokens_.push_back({Step::kAnyOne});
    } else if (pattern[i] != '*') {
      tokens_.push_back({Step::kCharacter, pattern[i]});
    } else if (i + 1 < pattern.size() && pattern[i + 1] == '*') {
      tokens_.push_back({Step::kAnything});
      ++i;
    } else {
      tokens_.push_back({Step::kAnyInPart});
    }
  }
}

// Steps through the name once, with the set of all places in the pattern that may have been reached: nothing is tried
// twice, so no pattern and no name make it slow.
bool Pattern::matches(const Name& name) const {
  if (name.kind != kind_) return false;
  using Places = std::array<bool, AllowList::kPatternBytesMax + 1>;
  const char separator = separator_of(kind_);
  const auto reach = [this](Places& places, std::size_t at) {
    places[at] = true;
    for (; at < tokens_.size() && tokens_[at].step >= Step::kAnyInPart; ++at) places[at + 1] = true;
  };
  Places now{};
  reach(now, 0);
  for (const char c : folded(kind_, name.text)) {
    if (std::ranges::none_of(now, std::identity{})) return false;
    Places next{};
    for (std::size_t at = 0; at < tokens_.size(); ++at) {
      if (!now[at]) continue;
      switch (tokens_[at].step) {
        case Step::kCharacter:
          if (c == tokens_[at].character) reach(next, at + 1);
          break;
        case Step::kAnyOne:
          if (c != separator) reach(next, at + 1);
          break;
        case Step::kAnyInPart:
          if (c != separator) reach(next, at);
          break;
        case Step::kAnything: reach(next, at); break;
      }
    }
    now = next;
  }
  return now[tokens_.size()];
}

AllowList::AllowList(const std::vector<std::string>& patterns) {
  if (patterns.size() > kPatternsMax) throw std::runtime_error("has more than 1024 patterns");
  for (const std::string& pattern : patterns) patterns_.push_back(parse(pattern));
}

const Name* AllowList::match(const std::vector<Name>& names) const {
  for (const Name& name : names)
    if (std::ranges::any_of(patterns_, [&](const Pattern& pattern) { return pattern.matches(name); })) return &name;
  return nullptr;
}

}  // namespace pelikan::net::tls
