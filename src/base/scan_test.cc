#include "base/scan.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace pelikan {
namespace {

// In memory of exactly that size, so that ASan sees a read beyond it.
std::size_t find(const std::string& text, std::size_t from) {
  const std::unique_ptr<char[]> memory(new char[text.size()]);
  text.copy(memory.get(), text.size());
  return find_blank_or_control({memory.get(), text.size()}, from);
}

TEST(FindBlankOrControl, FindsTheFirstWhereverItIs) {
  for (std::size_t size = 0; size <= 50; ++size) {
    const std::string word(size, 'w');
    for (std::size_t from = 0; from <= size; ++from) EXPECT_EQ(find(word, from), size);
    for (std::size_t place = 0; place < size; ++place) {
      std::string text = word;
      text[place] = ' ';
      text[size - 1] = '\n';
      for (std::size_t from = 0; from < size; ++from) {
        EXPECT_EQ(find(text, from), from <= place ? place : size - 1) << size << ' ' << place << ' ' << from;
      }
    }
  }
}

TEST(FindBlankOrControl, KnowsWhichBytesEndAWord) {
  for (const std::size_t before : {0u, 20u}) {
    for (unsigned byte = 0; byte < 256; ++byte) {
      const std::string text = std::string(before, 'w') + static_cast<char>(byte) + std::string(20, 'w');
      EXPECT_EQ(find(text, 0), byte <= ' ' ? before : text.size()) << byte;
    }
  }
}

}  // namespace
}  // namespace pelikan
