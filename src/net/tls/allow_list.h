// Which clients may come in, by the names in their certificates: KIND:pattern.
//
//   DNS:*.web.example   URI:spiffe://prod/**   IP:10.0.0.0/8   IP:10.0.0.*   EMAIL:*@web.example   CN:cache-??
//
// `?` is one byte and `*` any number of them, within one part of the name: neither stands for the '.' of a DNS name,
// the '/' of a URI or the '@' of an e-mail address. `**` stands for anything. IP addresses and CNs have no parts.
// Case counts, except in DNS names and addresses. IP:address/bits is a network.
// Failure: a pattern that could never match is refused: it is a mistake.
// Limits: kPatternsMax patterns of kPatternBytesMax; matching takes at most their product with a name's length.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/tls/names.h"

namespace pelikan::net::tls {

// The addresses that begin with the same bits; with all bits, one address.
struct Network {
  std::array<unsigned char, 16> bytes{};
  std::size_t size = 0;  // 4 or 16
  std::size_t bits = 0;
  [[nodiscard]] bool has(const Network& address) const noexcept;
};

class Pattern {
 public:
  // Throws std::runtime_error: what is wrong with it.
  Pattern(NameKind kind, std::string_view text);
  [[nodiscard]] bool matches(const Name& name) const;

 private:
  enum class Step : std::uint8_t { kCharacter, kAnyOne, kAnyInPart, kAnything };
  struct Token {
    Step step;
    char character = 0;
  };
  NameKind kind_;
  std::optional<Network> network_;  // of an IP: pattern without wildcards
  std::vector<Token> tokens_;       // of all others
};

class AllowList {
 public:
  static constexpr std::size_t kPatternsMax = 1024;
  static constexpr std::size_t kPatternBytesMax = 256;

  AllowList() = default;  // lets everybody in
  // Throws std::runtime_error, one line without the setting's name.
  explicit AllowList(const std::vector<std::string>& patterns);

  [[nodiscard]] bool empty() const noexcept { return patterns_.empty(); }
  // The first name that a pattern matches.
  [[nodiscard]] const Name* match(const std::vector<Name>& names) const;

 private:
  std::vector<Pattern> patterns_;
};

}  // namespace pelikan::net::tls
