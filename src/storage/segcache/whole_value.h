// Values that say themselves whether they are whole: for tests whose readers are raced by writers.
//
// A value is made from its key and a version, each byte of it; so one that is torn, foreign or was written over does
// not pass is_whole(). One that append() has put together from several does.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace pelikan::storage::segcache {

// A value is one or more of these, each followed by so many words.
struct Piece {
  std::uint32_t key = 0;
  std::uint32_t words = 0;
  std::uint64_t version = 0;
};

inline std::uint64_t word_of(const Piece& piece, std::uint32_t n) noexcept {
  const std::uint64_t mixed = (piece.version * 0x9E3779B97F4A7C15 + piece.key + n) * 0xD6E8FEB86659FD93;
  return mixed ^ mixed >> 32;
}

inline std::string make_value(const Piece& piece) {
  std::string value(sizeof(Piece) + piece.words * sizeof(std::uint64_t), '\0');
  std::memcpy(value.data(), &piece, sizeof(Piece));
  for (std::uint32_t n = 0; n < piece.words; ++n) {
    const std::uint64_t word = word_of(piece, n);
    std::memcpy(value.data() + sizeof(Piece) + n * sizeof(word), &word, sizeof(word));
  }
  return value;
}

inline std::uint32_t flags_of(std::uint64_t version) noexcept { return static_cast<std::uint32_t>(version); }

inline std::string name_of(std::uint32_t key) { return fmt::format("key{}", key); }

// Is it whole, of that key, and are the flags those of its first piece?
inline bool is_whole(std::string_view value, std::uint32_t key, std::uint32_t flags) {
  for (bool first = true; first || !value.empty(); first = false) {
    Piece piece;
    if (value.size() < sizeof(Piece)) return false;
    std::memcpy(&piece, value.data(), sizeof(Piece));
    value.remove_prefix(sizeof(Piece));
    if (piece.key != key || value.size() / sizeof(std::uint64_t) < piece.words) return false;
    if (first && flags != flags_of(piece.version)) return false;
    for (std::uint32_t n = 0; n < piece.words; ++n) {
      std::uint64_t word = 0;
      std::memcpy(&word, value.data() + n * sizeof(word), sizeof(word));
      if (word != word_of(piece, n)) return false;
    }
    value.remove_prefix(piece.words * sizeof(std::uint64_t));
  }
  return true;
}

// Of the first piece. REQUIRES: the value is whole.
inline std::uint64_t version_of(std::string_view value) {
  Piece piece;
  std::memcpy(&piece, value.data(), sizeof(Piece));
  return piece.version;
}

}  // namespace pelikan::storage::segcache
