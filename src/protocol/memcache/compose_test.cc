#include <gtest/gtest.h>

#include <limits>

#include "protocol/memcache/memcache.h"

namespace pelikan::protocol::memcache {
namespace {

TEST(Compose, WritesEachKind) {
  using Kind = Response::Kind;
  constexpr std::uint64_t kMax64 = std::numeric_limits<std::uint64_t>::max();
  const std::string value(120, 'v');
  const std::string long_reply = "VALUE k 10 120 9\r\n" + value + "\r\nEND\r\n";
  struct Row {
    Response response;
    std::string_view bytes;
  };
  const Row rows[] = {
      {Response::line(kStored), "STORED\r\n"},
      {{Kind::kValue, 0, 7, "k", ""}, "VALUE k 0 0\r\n\r\n"},
      {{Kind::kValue, 4294967295, 0, "key", "a\r\nb"}, "VALUE key 4294967295 4\r\na\r\nb\r\n"},
      {{Kind::kValueCas, 1, kMax64, "k", "v"}, "VALUE k 1 1 18446744073709551615\r\nv\r\n"},
      {{Kind::kValue, 7, 0, "k", "v", true}, "VALUE k 7 1\r\nv\r\nEND\r\n"},
      {{Kind::kValueCas, 10, 9, "k", value, true}, long_reply},
      {Response::of_number(kMax64), "18446744073709551615\r\n"},
      {{Kind::kVersion, 0, 0, "", "1.2.3"}, "VERSION 1.2.3\r\n"},
      {Response::stat("a", "b"), "STAT a b\r\n"},
      {Response::stat("a", ""), "STAT a \r\n"},
      {Response::stat("a", 12), "STAT a 12\r\n"},
  };
  for (const Row& row : rows) {
    BufferPool pool(1 << 20);
    Buffer out(pool);
    out.append("before ");
    Protocol::compose(row.response, out);
    EXPECT_EQ(out.view(), "before " + std::string(row.bytes));
  }
}

// Wherever in a block a line begins, so that ASan sees one that is longer than the room that it asked for.
TEST(Compose, TheLongestLinesFitTheirRoom) {
  constexpr std::uint64_t kMax64 = std::numeric_limits<std::uint64_t>::max();
  constexpr std::uint32_t kMax32 = std::numeric_limits<std::uint32_t>::max();
  const std::string key(kKeyBytesMax, 'k');
  const std::string value(1000, 'v');
  const Response longest[] = {
      {.kind = Response::Kind::kValueCas, .flags = kMax32, .number = kMax64, .key = key, .text = value, .last = true},
      Response::stat(key, kMax64),
      Response::stat(key, value),
      Response::of_number(kMax64)};
  for (const Response& response : longest) {
    for (std::size_t before = 0; before <= BufferPool::kSmallBlockBytes; ++before) {
      BufferPool pool(1 << 20);
      Buffer out(pool);
      out.append(std::string(before, 'b'));
      Protocol::compose(response, out);
      ASSERT_TRUE(out.view().ends_with("\r\n")) << before;
    }
  }
}

TEST(Compose, BinaryRefusalIsAWholeResponse) {
  BufferPool pool(1 << 20);
  Buffer out(pool);
  Protocol::compose({Response::Kind::kBinary, 0, 0x0BULL << 32 | 0x01020304, "", ""}, out);
  const std::string_view bytes = out.view();
  ASSERT_GT(bytes.size(), 24U);
  EXPECT_EQ(bytes.substr(0, 2), "\x81\x0b");
  EXPECT_EQ(bytes.substr(6, 2), std::string_view("\x00\x81", 2));
  EXPECT_EQ(static_cast<unsigned char>(bytes[11]), bytes.size() - 24);
  EXPECT_EQ(bytes.substr(12, 4), "\x01\x02\x03\x04");
}

}  // namespace
}  // namespace pelikan::protocol::memcache
