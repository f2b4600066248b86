#include "base/bytes.h"

#include <gtest/gtest.h>

#include <string>

namespace pelikan {
namespace {

TEST(ParseDecimal, TakesTheWholeTextOrNothing) {
  EXPECT_EQ(parse_decimal<std::uint64_t>("18446744073709551615"), 18446744073709551615ull);
  EXPECT_EQ(parse_decimal<std::int32_t>("-2147483648"), -2147483648);
  for (const char* bad : {"", "-1", "+1", " 1", "1 ", "1x", "0x1", "18446744073709551616"}) {
    EXPECT_FALSE(parse_decimal<std::uint64_t>(bad)) << bad;
  }
  EXPECT_FALSE(parse_decimal<std::int32_t>("2147483648"));
}

TEST(WriteDecimal, WritesSmallNumbersAsLargeOnes) {
  char text[kMaxDecimalChars];
  for (int value = -2000; value <= 2000; ++value) {
    EXPECT_EQ(std::string_view(text, write_decimal(text, value)), std::to_string(value));
  }
}

TEST(WriteDecimal, RoundTrips) {
  char text[kMaxDecimalChars];
  for (const std::uint64_t value : {0ull, 9ull, 10ull, 18446744073709551615ull}) {
    EXPECT_EQ(parse_decimal<std::uint64_t>({text, write_decimal(text, value)}), value);
  }
}

}  // namespace
}  // namespace pelikan
