#include "net/tls/allow_list.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <stdexcept>
#include <system_error>

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

// The first bit of `bytes`, from `from` on, that is set; `end` when none is.
std::size_t first_bit(const std::array<unsigned char, 16>& bytes, std::size_t from, std::size_t end) {
  while (from < end && (bytes[from / 8] & (0x80U >> from % 8)) == 0) ++from;
  return from;
}

std::optional<Network> address(const std::string& text) {
  Network found;
  if (inet_pton(AF_INET, text.c_str(), found.bytes.data()) == 1) {
    found.size = 4;
  } else if (inet_pton(AF_INET6, text.c_str(), found.bytes.data()) == 1) {
    found.size = 16;
  } else {
    return std::nullopt;
  }
  found.bits = 8 * found.size;
  return found;
}

// "10.0.0.0/8", or one address.
Network network(const std::string& text) {
  const std::size_t slash = std::min(text.find('/'), text.size());
  std::optional<Network> found = address(text.substr(0, slash));
  if (!found) throw std::runtime_error("is no IP address");
  if (slash == text.size()) return *found;
  const char* end = text.data() + text.size();
  std::size_t bits = 0;
  const auto [at, error] = std::from_chars(text.data() + slash + 1, end, bits);
  if (error != std::errc{} || at != end || bits > found->bits)
    throw std::runtime_error("needs a number of bits behind the slash, at most " + std::to_string(found->bits));
  if (first_bit(found->bytes, bits, found->bits) != found->bits)
    throw std::runtime_error("is an address within a network: name the one or the other");
  found->bits = bits;
  return *found;
}

// Could an address, as inet_ntop() writes it, have this between two separators?
bool may_be_part(std::string_view part, bool decimal) {
  if (part.find_first_of("*?") != std::string_view::npos) return true;
  if (part.empty()) return !decimal;  // "::"
  if (part.size() > (decimal ? 3U : 4U) || (part.front() == '0' && part.size() > 1)) return false;
  unsigned value = 0;
  const auto [at, error] = std::from_chars(part.data(), part.data() + part.size(), value, decimal ? 10 : 16);
  return error == std::errc{} && at == part.data() + part.size() && (!decimal || value <= 255);
}

// For patterns of addresses that have wildcards.
bool may_be_address(std::string_view text) {
  if (text.find_first_not_of("0123456789abcdef.:*?") != std::string_view::npos) return false;
  if (std::ranges::count(text, '.') > 3 || std::ranges::count(text, ':') > 7) return false;
  bool after_dot = false;
  for (;;) {
    const std::size_t end = std::min(text.find_first_of(".:"), text.size());
    const bool before_dot = end < text.size() && text[end] == '.';
    if (!may_be_part(text.substr(0, end), before_dot || after_dot)) return false;
    if (end == text.size()) return true;
    text.remove_prefix(end + 1);
    after_dot = before_dot;
  }
}

// Of those in names.h.
void require_possible_characters(NameKind kind, std::string_view text) {
  const bool ascii = kind != NameKind::kCn;
  const auto impossible = [ascii](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f || (ascii && byte >= 0x80);
  };
  if (std::ranges::any_of(text, impossible) || !config::valid_utf8(text))
    throw std::runtime_error("has a character that no such name has");
}

Pattern parse(std::string_view entry) {
  const auto fail = [&](const char* what) { throw std::runtime_error(config::quoted(clean(entry)) + " " + what); };
  if (entry.size() > AllowList::kPatternBytesMax) fail("is longer than 256 bytes");
  const std::size_t colon = entry.find(':');
  for (const NameKind kind : kNameKinds) {
    if (colon == std::string_view::npos || config::lower(entry.substr(0, colon)) != config::lower(prefix_of(kind)))
      continue;
    if (colon + 1 == entry.size()) fail("has no pattern behind the colon");
    try {
      return {kind, entry.substr(colon + 1)};
    } catch (const std::runtime_error& error) {
      fail(error.what());
    }
  }
  fail("must begin with URI: DNS: EMAIL: IP: or CN:");
  return {NameKind::kCn, ""};
}

}  // namespace

bool Network::has(const Network& address) const noexcept {
  if (address.size != size) return false;
  std::array<unsigned char, 16> differences{};
  for (std::size_t i = 0; i < size; ++i) differences[i] = bytes[i] ^ address.bytes[i];
  return first_bit(differences, 0, bits) == bits;
}

Pattern::Pattern(NameKind kind, std::string_view text) : kind_(kind) {
  require_possible_characters(kind, text);
  const std::string pattern = folded(kind, text);
  if (kind == NameKind::kIp && text.find_first_of("*?") == std::string_view::npos) {
    network_ = network(pattern);
    return;
  }
  if (kind == NameKind::kIp && !may_be_address(pattern)) throw std::runtime_error("fits no IP address");
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
  if (network_) {
    const auto shown_by_client = address(name.text);
    return shown_by_client && network_->has(*shown_by_client);
  }
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
