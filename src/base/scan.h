// Where a word ends, in text that is cut at blanks and line ends; and whether two words are the same. Words are short:
// 16 bytes at once, in place of a call of the library for each.
#pragma once

#include <bit>
#include <cstddef>
#include <string_view>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace pelikan {

// The first byte of `text`, from `from` on, that is a blank or a control character (so it may end a word or a line);
// its size when there is none. Reads nothing beyond `text`.
[[nodiscard]] inline std::size_t find_blank_or_control(std::string_view text, std::size_t from = 0) noexcept {
  constexpr char kBlank = ' ';
#if defined(__SSE2__)
  const __m128i blanks = _mm_set1_epi8(kBlank);
  for (; text.size() - from >= sizeof(__m128i); from += sizeof(__m128i)) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + from));
    const auto found = static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(bytes, blanks), bytes)));
    if (found != 0) return from + static_cast<std::size_t>(std::countr_zero(found));
  }
#endif
  while (from < text.size() && static_cast<unsigned char>(text[from]) > kBlank) ++from;
  return from;
}

// As `one == other`.
[[nodiscard]] inline bool same_text(std::string_view one, std::string_view other) noexcept {
  if (one.size() != other.size()) return false;
#if defined(__SSE2__)
  constexpr std::size_t kStep = sizeof(__m128i);
  if (one.size() >= kStep) {
    const auto same_at = [&](std::size_t at) {
      const __m128i left = _mm_loadu_si128(reinterpret_cast<const __m128i*>(one.data() + at));
      const __m128i right = _mm_loadu_si128(reinterpret_cast<const __m128i*>(other.data() + at));
      return _mm_movemask_epi8(_mm_cmpeq_epi8(left, right)) == 0xFFFF;
    };
    const std::size_t last = one.size() - kStep;  // may overlap the step before it
    for (std::size_t at = 0; at < last; at += kStep) {
      if (!same_at(at)) return false;
    }
    return same_at(last);
  }
#endif
  return one == other;
}

}  // namespace pelikan
