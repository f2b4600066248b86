// The trace reader: a table of lines, then whole files (plain, compressed, damaged) written to the test's own folder.
#include "tools/replay/trace.h"

#include <gtest/gtest.h>
#include <unistd.h>
#include <zstd.h>

#include <fstream>
#include <random>
#include <stdexcept>
#include <string>

namespace pelikan::tools::replay {
namespace {

class TemporaryFile {
 public:
  explicit TemporaryFile(std::string_view bytes) {
    static int number = 0;
    path_ = testing::TempDir() + "trace." + std::to_string(getpid()) + "." + std::to_string(number++);
    std::ofstream(path_, std::ios::binary) << bytes;
  }
  ~TemporaryFile() { unlink(path_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string compressed(std::string_view bytes) {
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 3));
  return out;
}

Trace read_bytes(std::string_view bytes) {
  const TemporaryFile file(bytes);
  Source source(file.path());
  return read_twitter(source);
}

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

TEST(KeyTable, NumbersInOrderOfAppearance) {
  KeyTable table;
  for (std::uint32_t i = 0; i < 5000; ++i) EXPECT_EQ(table.number_of(std::to_string(i)), i);
  for (std::uint32_t i = 0; i < 5000; ++i) EXPECT_EQ(table.number_of(std::to_string(i)), i);
  EXPECT_EQ(table.count(), 5000u);
  EXPECT_EQ(table.key(0), "0");
  EXPECT_EQ(table.key(4999), "4999");
}

TEST(ReadTwitter, PadsCountsAndOrders) {
  const Trace trace = read_bytes(
      "5,7,4,10,0,get,60\r\n"
      "nonsense\n"
      "6,0007,4,90,0,get,60\n"  // the same key once padded
      "4,8,0,1,0,set,0\n"       // older than the line before
      "\n"
      "9,9,1,2,0,delete,0");  // no end of line
  ASSERT_EQ(trace.requests.size(), 4u);
  EXPECT_EQ(trace.keys.count(), 3u);
  EXPECT_EQ(trace.keys.key(0), "0007");
  EXPECT_EQ(trace.requests[1].key, 0u);
  EXPECT_EQ(trace.requests[1].value_bytes, 90u);
  EXPECT_EQ(trace.requests[2].time_sec, 6u);
  EXPECT_EQ(trace.requests[2].operation(), Operation::kSet);
  EXPECT_EQ(trace.requests[3].operation(), Operation::kDelete);
  EXPECT_EQ(trace.footprint_bytes, 4u + 10u + 1u + 1u + 1u + 2u);
  EXPECT_EQ(trace.malformed_lines, 2u);
  EXPECT_EQ(trace.first_malformed_line, 2u);
  EXPECT_EQ(trace.backward_steps, 1u);
}

TEST(ReadTwitter, CompressedIsTheSame) {
  std::string text;
  for (int i = 0; i < 30000; ++i)
    text += std::to_string(i / 7) + "," + std::to_string(i * 7919 % 1000) + ",20,100,0,get,60\n";
  const Trace plain = read_bytes(text);
  const std::size_t half = text.find('\n', text.size() / 2) - 5;  // two frames, cut inside a line
  const Trace packed = read_bytes(compressed(text.substr(0, half)) + compressed(text.substr(half)));
  ASSERT_EQ(plain.requests.size(), 30000u);
  ASSERT_EQ(packed.requests.size(), plain.requests.size());
  EXPECT_EQ(packed.footprint_bytes, plain.footprint_bytes);
  EXPECT_EQ(packed.malformed_lines, 0u);
  EXPECT_EQ(packed.requests.back().time_sec, plain.requests.back().time_sec);
}

TEST(ReadTwitter, DamagedFilesAreOneMessage) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "1," + std::to_string(i * 7919) + ",20,100,0,get,60\n";
  const std::string packed = compressed(text);
  EXPECT_THROW((void)read_bytes(packed.substr(0, packed.size() / 2)), std::runtime_error);
  EXPECT_THROW((void)read_bytes(packed.substr(0, 6)), std::runtime_error);
  std::string damaged = packed;
  damaged[8] = static_cast<char>(damaged[8] ^ 0x55);
  EXPECT_THROW((void)read_bytes(damaged), std::runtime_error);
  EXPECT_THROW((void)read_bytes(""), std::runtime_error);
  EXPECT_THROW((void)read_bytes("no request\n"), std::runtime_error);
  EXPECT_THROW(Source("/nonexistent/trace.csv"), std::runtime_error);
  EXPECT_THROW(Source("/"), std::runtime_error);  // a folder
}

TEST(ReadTwitter, OverlongLinesAreMalformedAndDoNotGrow) {
  const std::string endless(3'000'000, '7');
  const Trace trace =
      read_bytes(endless + "\n1,k,1,1,0,get,0\n1," + endless + ",1,1,0,get,0\n2,k,1,1,0,get,0\n" + endless);
  EXPECT_EQ(trace.requests.size(), 2u);
  EXPECT_EQ(trace.malformed_lines, 3u);
  EXPECT_EQ(trace.first_malformed_line, 1u);
}

TEST(ReadTwitter, NoiseNeverCrashes) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const std::string alphabet = std::string("0123456789,,,,,getsdl\n\n\r-", 25) + '\0';
  for (int round = 0; round < 200; ++round) {
    std::string bytes = "1,k,1,1,0,get,0\n";
    for (auto i = random() % 2000; i > 0; --i) bytes += alphabet[random() % alphabet.size()];
    EXPECT_GE(read_bytes(bytes).requests.size(), 1u);
  }
}

}  // namespace
}  // namespace pelikan::tools::replay
