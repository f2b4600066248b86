// Where a word ends, in text that is cut at blanks and line ends.
#pragma once

#include <bit>
#include <cstddef>
#include <string_view>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace pelikan {

// The first byte of `text`, from `from` on, that is a blank or a control character (so it may end a word or a line);
// its size when there is none. Reads nothing beyond `text`. Words are short: 16 bytes at once in place of a call of
// memchr() for each character that could end them.
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

}  // namespace pelikan
