#include "base/scan.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace pelikan {
namespace {

// In memory of exactly its size, so that ASan sees a read beyond it.
class Exact {
 public:
  explicit Exact(std::string_view text) : memory_(new char[text.size()]), size_(text.size()) {
    text.copy(memory_.get(), size_);
  }
  [[nodiscard]] std::string_view view() const { return {memory_.get(), size_}; }

 private:
  std::unique_ptr<char[]> memory_;
  std::size_t size_;
};

std::size_t find(const std::string& text, std::size_t from) { return find_blank_or_control(Exact(text).view(), from); }

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

TEST(SameText, SeesEachDifferingByte) {
  for (std::size_t size = 0; size <= 70; ++size) {
    const std::string word(size, 'w');
    const Exact one(word);
    EXPECT_TRUE(same_text(one.view(), Exact(word).view())) << size;
    EXPECT_FALSE(same_text(one.view(), Exact(word + 'w').view())) << size;
    for (std::size_t place = 0; place < size; ++place) {
      std::string other = word;
      other[place] ^= 1;
      EXPECT_FALSE(same_text(one.view(), Exact(other).view())) << size << ' ' << place;
    }
  }
}

TEST(SameText, TakesTextsThatPointNowhere) {
  EXPECT_TRUE(same_text({}, {}));
  EXPECT_TRUE(same_text({}, Exact("").view()));
  EXPECT_FALSE(same_text({}, "w"));
}

}  // namespace
}  // namespace pelikan
