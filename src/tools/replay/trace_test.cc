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

template <class T>
std::string little_endian(T value) {
  std::string out(sizeof value, '\0');
  for (std::size_t i = 0; i < sizeof value; ++i) out[i] = static_cast<char>(static_cast<std::uint64_t>(value) >> 8 * i);
  return out;
}

std::string compressed(std::string_view bytes) {
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 3));
  return out;
}

Trace read_bytes(std::string_view bytes, Format format = Format::kTwitter) {
  const TemporaryFile file(bytes);
  Source source(file.path());
  return read_trace(source, format);
}

// One record each, as formats.h draws them.
std::string segcache20(std::uint32_t time, std::uint64_t id, std::uint32_t key_bytes, std::uint32_t value_bytes,
                       std::uint32_t operation, std::uint32_t ttl) {
  return little_endian(time) + little_endian(id) + little_endian(key_bytes << 22 | value_bytes) +
         little_endian(operation << 24 | ttl);
}
std::string oracle(std::uint32_t time, std::uint64_t id, std::uint32_t bytes, std::int64_t next) {
  return little_endian(time) + little_endian(id) + little_endian(bytes) + little_endian(next);
}

std::string message_of(std::string_view bytes, Format format) {
  try {
    (void)read_bytes(bytes, format);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
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

TEST(ReadSegcache20, RequestsKeysAndWhatIsLeftOut) {
  const Trace trace = read_bytes(segcache20(100, 7, 20, 300, 1, 60) + segcache20(101, 7, 0, 1, 1, 0) +  // no key size
                                     segcache20(102, 8, 4, 10, 3, 0) + segcache20(102, 8, 4, 10, 12, 0) +
                                     segcache20(99, 7, 20, 310, 9, 5),
                                 Format::kSegcache20);
  ASSERT_EQ(trace.requests.size(), 3u);
  EXPECT_EQ(trace.malformed_lines, 2u);
  EXPECT_EQ(trace.first_malformed_line, 2u);
  EXPECT_EQ(trace.backward_steps, 1u);
  EXPECT_EQ(trace.keys.count(), 2u);
  EXPECT_EQ(trace.keys.key(0), std::string(12, '0') + little_endian(std::uint64_t{7}));
  EXPECT_EQ(trace.keys.key(1), little_endian(std::uint64_t{8}));  // an id has 8 bytes
  EXPECT_EQ(trace.footprint_bytes, 320u + 18u);
  EXPECT_EQ(trace.requests[0].operation(), Operation::kGet);
  EXPECT_EQ(trace.requests[0].ttl_sec, 60u);
  EXPECT_EQ(trace.requests[1].operation(), Operation::kSet);
  EXPECT_EQ(trace.requests[2].operation(), Operation::kDelete);
  EXPECT_EQ(trace.requests[2].time_sec, 102u);
  EXPECT_EQ(trace.requests[2].key, 0u);
}

TEST(ReadOracle, CompressedIsTheSame) {
  std::string bytes;
  for (std::uint32_t i = 0; i < 30000; ++i) bytes += oracle(i / 7, i * 7919 % 1000, 100 + i % 1000, i + 1000);
  const Trace plain = read_bytes(bytes, Format::kOracle);
  const Trace packed = read_bytes(compressed(bytes), Format::kOracle);
  ASSERT_EQ(plain.requests.size(), 30000u);
  EXPECT_EQ(plain.keys.count(), 1000u);
  EXPECT_EQ(plain.requests[1].value_bytes, 93u);
  EXPECT_EQ(plain.requests[1].ttl_sec, 0u);
  ASSERT_EQ(packed.requests.size(), plain.requests.size());
  EXPECT_EQ(packed.footprint_bytes, plain.footprint_bytes);
  EXPECT_EQ(packed.requests.back().time_sec, plain.requests.back().time_sec);
}

TEST(ReadBinary, WhatIsNoSuchFileIsOneMessageWithTheRecord) {
  const std::string segcache = segcache20(1, 1, 250, (1 << 22) - 1, 1, (1 << 24) - 1);
  const std::string good = oracle(1, 1, kValueBytesMax + 8, -1);
  EXPECT_EQ(message_of(segcache, Format::kSegcache20), "");
  EXPECT_EQ(message_of(good, Format::kOracle), "");
  EXPECT_EQ(message_of(segcache + segcache.substr(0, 19), Format::kSegcache20), "record 2 ends early: 19 of 20 bytes");
  EXPECT_EQ(message_of(good + good + "x", Format::kOracle), "record 3 ends early: 1 of 24 bytes");
  EXPECT_EQ(message_of(segcache + segcache20(1, 1, 251, 9, 1, 0), Format::kSegcache20),
            "record 2 has a key of 251 and a value of 9 bytes; at most 250 and 268435455");
  EXPECT_EQ(message_of(good + oracle(1, 1, 0xFFFFFFFF, 0), Format::kOracle),
            "record 2 has a key of 8 and a value of 4294967287 bytes; at most 250 and 268435455");
  EXPECT_EQ(message_of("", Format::kOracle), "the trace holds no request in the format `oracle`");
  EXPECT_EQ(message_of(segcache20(1, 1, 0, 9, 1, 0), Format::kSegcache20),
            "the trace holds no request in the format `segcache20`");
  EXPECT_NE(message_of("1,k,1,1,0,get,0\n1,k,1,1,0,get,0\n1,k,1,1,0,get,0\n", Format::kSegcache20), "");
}

// More records than are read at once, and an end within one.
TEST(ReadBinary, EndsAreFoundBehindAFullBuffer) {
  std::string bytes;
  for (std::uint32_t i = 0; i < 20000; ++i) bytes += oracle(i, i, 100, 0);
  EXPECT_EQ(read_bytes(bytes, Format::kOracle).requests.size(), 20000u);
  EXPECT_EQ(message_of(bytes + bytes.substr(0, 5), Format::kOracle), "record 20001 ends early: 5 of 24 bytes");
}

TEST(ReadBinary, NoiseNeverCrashes) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 200; ++round) {
    std::string bytes(random() % 2000, '\0');
    for (char& each : bytes) each = static_cast<char>(random());
    for (const Format format : {Format::kSegcache20, Format::kOracle}) {
      const std::string message = message_of(bytes, format);
      EXPECT_EQ(message.find('\n'), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace pelikan::tools::replay
