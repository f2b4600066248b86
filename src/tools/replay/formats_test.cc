// Tables of lines, records and names.
#include "tools/replay/formats.h"

#include <gtest/gtest.h>

#include <string>

namespace pelikan::tools::replay {
namespace {

TEST(ParseTwitter, GoodLines) {
  const struct {
    std::string_view line;
    std::uint32_t time, key_bytes, value_bytes, ttl;
    std::string_view key;
    Operation operation;
  } rows[] = {
      {"0,38,20,320,0,get,43200", 0, 20, 320, 43200, "38", Operation::kGet},
      {"7,abc,3,0,client,gets,0", 7, 3, 0, 0, "abc", Operation::kGet},
      {"7,abc,0,1,,set,5", 7, 3, 1, 5, "abc", Operation::kSet},
      {"4294967295,k,250,268435455,1,add,4294967295", 4294967295u, 250, 268435455, 4294967295u, "k", Operation::kAdd},
      {"1,a,b,c,8,9,1,delete,0", 1, 8, 9, 0, "a,b,c", Operation::kDelete},
      {"1,k,1,1,1,replace,0", 1, 1, 1, 0, "k", Operation::kReplace},
      {"1,k,1,1,1,cas,0", 1, 1, 1, 0, "k", Operation::kCas},
      {"1,k,1,1,1,append,0", 1, 1, 1, 0, "k", Operation::kAppend},
      {"1,k,1,1,1,prepend,0", 1, 1, 1, 0, "k", Operation::kPrepend},
      {"1,k,1,1,1,incr,0", 1, 1, 1, 0, "k", Operation::kArithmetic},
      {"1,k,1,1,1,decr,0", 1, 1, 1, 0, "k", Operation::kArithmetic},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.line);
    const auto line = parse_twitter(row.line);
    ASSERT_TRUE(line);
    EXPECT_EQ(line->time_sec, row.time);
    EXPECT_EQ(line->key, row.key);
    EXPECT_EQ(line->key_bytes, row.key_bytes);
    EXPECT_EQ(line->value_bytes, row.value_bytes);
    EXPECT_EQ(line->ttl_sec, row.ttl);
    EXPECT_EQ(line->operation, row.operation);
  }
}

TEST(ParseTwitter, MalformedLines) {
  const std::string long_key(251, 'k');
  const std::string rows[] = {
      "",
      ",",
      ",,,,,,",
      "timestamp,key,key_size,value_size,client_id,op,ttl",
      "1,k,1,1,1,get",
      "k,1,1,1,get,0",
      "-1,k,1,1,1,get,0",
      "1,,1,1,1,get,0",
      "1,k,-1,1,1,get,0",
      "1,k,251,1,1,get,0",
      "1,k,1,268435456,1,get,0",
      "1,k,1,1.5,1,get,0",
      "1,k,1,1,1,GET,0",
      "1,k,1,1,1,touch,0",
      "1,k,1,1,1,get,",
      "1,k,1,1,1,get,0 ",
      "1,k,1,1,1,get,4294967296",
      "4294967296,k,1,1,1,get,0",
      "1," + long_key + ",20,1,1,get,0",
      std::string("\0\0\0", 3),
  };
  for (const auto& row : rows) EXPECT_FALSE(parse_twitter(row)) << row;
}

TEST(ParseSegcache20, GoodRecords) {
  const char bytes[] =
      "\x10\x00\x00\x01"                  // time
      "\x01\x02\x03\x04\x05\x06\x07\x08"  // id
      "\x2c\x01\x00\x05"                  // 20 << 22 | 300
      "\x3c\x00\x01\x09";                 // 9 << 24 | 65596
  const auto record = parse_segcache20(std::string_view(bytes, kSegcache20Bytes));
  ASSERT_TRUE(record);
  EXPECT_EQ(record->time_sec, 0x01000010u);
  EXPECT_EQ(record->key, std::string_view(bytes + 4, 8));
  EXPECT_EQ(record->key_bytes, 20u);
  EXPECT_EQ(record->value_bytes, 300u);
  EXPECT_EQ(record->operation, Operation::kDelete);
  EXPECT_EQ(record->ttl_sec, 65596u);
}

TEST(ParseSegcache20, Operations) {
  const Operation expected[] = {Operation::kGet,    Operation::kGet,        Operation::kSet,       Operation::kAdd,
                                Operation::kCas,    Operation::kReplace,    Operation::kAppend,    Operation::kPrepend,
                                Operation::kDelete, Operation::kArithmetic, Operation::kArithmetic};
  for (int number = 0; number < 256; ++number) {
    std::string bytes(kSegcache20Bytes, '\1');
    bytes[19] = static_cast<char>(number);
    const auto record = parse_segcache20(bytes);
    ASSERT_EQ(record.has_value(), number >= 1 && number <= 11) << number;
    if (record) {
      EXPECT_EQ(record->operation, expected[number - 1]) << number;
    }
  }
}

TEST(ParseOracle, TheSizeIsThatOfKeyAndValue) {
  const struct {
    std::string_view size;
    std::uint32_t value_bytes;
  } rows[] = {{std::string_view("\0\0\0\0", 4), 0},
              {std::string_view("\7\0\0\0", 4), 0},
              {std::string_view("\x09\0\0\0", 4), 1},
              {std::string_view("\xff\xff\xff\xff", 4), 0xFFFFFFFF - 8}};
  for (const auto& row : rows) {
    const std::string bytes = std::string("\2\0\0\0abcdefgh", 12) + std::string(row.size) + std::string(8, '\xff');
    const auto record = parse_oracle(bytes);
    ASSERT_TRUE(record);
    EXPECT_EQ(record->time_sec, 2u);
    EXPECT_EQ(record->key, "abcdefgh");
    EXPECT_EQ(record->key_bytes, 8u);
    EXPECT_EQ(record->value_bytes, row.value_bytes);
    EXPECT_EQ(record->operation, Operation::kGet);
    EXPECT_EQ(record->ttl_sec, 0u);
  }
}

TEST(FormatOf, FileNames) {
  const struct {
    std::string_view path;
    Format format;
  } rows[] = {{"c.sbin", Format::kSegcache20},
              {"traces/c.sbin.zst", Format::kSegcache20},
              {"w106.oracleGeneral", Format::kOracle},
              {"w106.oracleGeneral.zst", Format::kOracle},
              {"w106.oracleGeneral.bin.zst", Format::kOracle},
              {"w106.oracle", Format::kOracle},
              {"a.csv", Format::kTwitter},
              {"a.csv.zst", Format::kTwitter},
              {"sbin.zst", Format::kTwitter},
              {"x.sbin/a", Format::kTwitter},
              {"-", Format::kTwitter},
              {"", Format::kTwitter}};
  for (const auto& row : rows) EXPECT_EQ(format_of(row.path), row.format) << row.path;
}

}  // namespace
}  // namespace pelikan::tools::replay
