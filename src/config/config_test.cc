// Settings: tables of (text in, value out) and (text in, the whole message out), Pelikan's files, print and load again.
#include "config/config.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <limits>

#include "config/nearest.h"
#include "config/pelikan_keys.h"

namespace pelikan::config {
namespace {

struct ServerOptions : Section {
  ServerOptions() : Section("server") {}
  Option<std::string> host{this, "host", "127.0.0.1", "address to listen on"};
  Option<std::uint64_t> port{this, "port", 12321, "port to listen on", Range{0, 65535}};
  Option<bool> fast{this, "fast", false, "be fast"};
  Option<double> ratio{this, "ratio", 0.5, "a ratio", Range{0.0, 1.0}};
  Option<std::int64_t> offset{this, "offset", -3, "an offset"};
  Option<Duration> idle_timeout{this, "idle_timeout", std::chrono::seconds(30), "close after",
                                Range{Duration(0), std::chrono::hours(24)}};
  Option<List> allow{this, "allow", {}, "who may connect"};
};

struct SegOptions : Section {
  SegOptions() : Section("seg") {}
  Option<Size> heap_size{this, "heap_size", kGiB, "bytes for items", Range{kMiB, kTiB}};
  Option<Size> segment_size{this, "segment_size", kMiB, "bytes of a segment"};
  Option<std::string> eviction{this, "eviction", "merge", "what leaves first", OneOf{"none", "fifo", "merge"}};
  Option<std::uint64_t> hash_power{this, "hash_power", 16, "starting size of the index", Range{3, 40}};
  Option<std::uint64_t> compact_target{this, "compact_target", 2, "segments to compact"};
  Option<std::uint64_t> merge_target{this, "merge_target", 4, "segments to merge"};
  Option<std::uint64_t> merge_max{this, "merge_max", 8, "segments to merge at most"};
};

struct OtherOptions : Section {
  explicit OtherOptions(std::string_view section) : Section(section) {}
  Option<std::string> host{this, "host", "127.0.0.1", "address to listen on"};
  Option<std::uint64_t> port{this, "port", 9999, "port to listen on", Range{0, 65535}};
  Option<bool> use_tls{this, "use_tls", false, "not offered"};
  Option<std::uint64_t> threads{this, "threads", 1, "how many"};
  Option<std::string> log_level{this, "log_level", "warn", "what is logged", OneOf{"info", "warn"}};
};

struct Settings {
  ServerOptions server;
  SegOptions seg;
  Config config{server, seg};
};

std::string failure(std::string_view toml) {
  Settings settings;
  try {
    settings.config.load_text(toml, "a.toml");
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Config, TakesEachTypeFromToml) {
  Settings s;
  s.config.load_text(
      "[server]\nport = \"11211\"\nfast = true\nratio = 1\noffset = -9\nidle_timeout = \"100ms\"\n"
      "allow = [\"a\", \"b\"]\nhost = 'h'\n[seg]\nheap_size = \"64MB\"\nsegment_size = 4096\neviction = \"Merge\"\n",
      "a.toml");
  EXPECT_EQ(s.server.port(), 11211U);
  EXPECT_TRUE(s.server.fast());
  EXPECT_EQ(s.server.ratio(), 1.0);
  EXPECT_EQ(s.server.offset(), -9);
  EXPECT_EQ(s.server.idle_timeout(), std::chrono::milliseconds(100));
  EXPECT_EQ(s.server.allow(), (List{"a", "b"}));
  EXPECT_EQ(s.server.host(), "h");
  EXPECT_EQ(s.seg.heap_size(), 64 * kMiB);
  EXPECT_EQ(s.seg.segment_size(), 4096U);
  EXPECT_EQ(s.seg.eviction(), "merge");
  EXPECT_TRUE(s.seg.eviction.is_set());
  EXPECT_FALSE(s.seg.merge_max.is_set());
  EXPECT_TRUE(s.config.warnings().empty());
}

TEST(Config, ReadsSizesAndTimes) {
  struct Row {
    const char* text;
    std::optional<std::uint64_t> size;
    std::optional<std::int64_t> ms;
  };
  const Row rows[] = {
      {"0", 0, 0},
      {"64MB", 64 * kMiB, {}},
      {"64mib", 64 * kMiB, {}},
      {"4 GB", 4 * kGiB, {}},
      {"12KB", 12288, {}},
      {"7B", 7, {}},
      {"1TiB", kTiB, {}},
      {"100ms", {}, 100},
      {"30s", {}, 30'000},
      {"5m", {}, 300'000},
      {"2h", {}, 7'200'000},
      {"1d", {}, 86'400'000},
      {"18446744073709551615", std::numeric_limits<std::uint64_t>::max(), {}},
      {"18446744073709551616", {}, {}},
      {"20000000TB", {}, {}},
      {"-1", {}, {}},
      {"", {}, {}},
      {"MB", {}, {}},
      {"1.5MB", {}, {}},
      {"1  MB", {}, {}},
      {"1MB ", {}, {}},
      {"99999999999d", {}, {}},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.text);
    const auto size = Codec<Size>::read(std::string(row.text));
    EXPECT_EQ(size ? std::optional(size->bytes) : std::nullopt, row.size);
    const auto time = Codec<Duration>::read(std::string(row.text));
    EXPECT_EQ(time ? std::optional<std::int64_t>(time->count()) : std::nullopt, row.ms);
  }
}

TEST(Config, ReadsShortTimesToTheMicrosecond) {
  struct Row {
    Value value;
    std::optional<std::int64_t> us;
    std::optional<std::int64_t> ms;  // as an option that has no finer steps
  };
  const Row rows[] = {
      {"50us", 50, {}},
      {"50 US", 50, {}},
      {"2000us", 2000, 2},
      {"2ms", 2000, 2},
      {"1s", 1'000'000, 1000},
      {"7", 7000, 7},
      {std::int64_t{7}, 7000, 7},
      {std::int64_t{0}, 0, 0},
      {std::int64_t{-1}, {}, {}},
      {std::numeric_limits<std::int64_t>::min(), {}, {}},
      {std::numeric_limits<std::int64_t>::max(), {}, {}},
      {"18446744073709551615", {}, {}},
      {"18446744073709551615us", {}, {}},
      {"us", {}, {}},
      {"1ns", {}, {}},
      {true, {}, {}},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(&row - rows);
    const auto fine = Codec<ShortDuration>::read(row.value);
    EXPECT_EQ(fine ? std::optional<std::int64_t>(fine->count()) : std::nullopt, row.us);
    const auto coarse = Codec<Duration>::read(row.value);
    EXPECT_EQ(coarse ? std::optional<std::int64_t>(coarse->count()) : std::nullopt, row.ms);
  }
  EXPECT_EQ(Codec<ShortDuration>::print(ShortDuration(1'050)), "\"1050us\"");
  EXPECT_EQ(Codec<ShortDuration>::print(ShortDuration(3'000)), "\"3ms\"");
  EXPECT_EQ(Codec<ShortDuration>::print(ShortDuration(0)), "\"0ms\"");
}

TEST(Config, SaysWhatIsWrongAndWhere) {
  struct Row {
    const char* toml;
    const char* message;
  };
  const Row rows[] = {
      {"[server]\n\nprot = 1\n", "a.toml:3: server.prot: unknown key; did you mean server.port?"},
      {"[server]\nheap_size = 1\n", "a.toml:2: server.heap_size: unknown key; did you mean seg.heap_size?"},
      {"[sever]\nport = 1\n", "a.toml:2: unknown section [sever]; did you mean server.port? (sections: server seg)"},
      {"[sever]\n", "a.toml:1: unknown section [sever]; did you mean [server]? (sections: server seg)"},
      {"[a.b]\nc = 1\n", "a.toml:1: unknown section [a]; did you mean server.host? (sections: server seg)"},
      {"port = 1\n", "a.toml:1: port: unknown key; did you mean server.port?"},
      {"[server]\nport = 70000\n",
       "a.toml:2: server.port cannot be 70000; allowed: a number, not negative, from 0 to 65535"},
      {"[server]\nport = -1\n", "a.toml:2: server.port cannot be -1; allowed: a number, not negative, from 0 to 65535"},
      {"[server]\nport = true\n",
       "a.toml:2: server.port cannot be true; allowed: a number, not negative, from 0 to 65535"},
      {"[server]\nfast = 1\n", "a.toml:2: server.fast cannot be 1; allowed: true or false"},
      {"[server]\nhost = 1\n", "a.toml:2: server.host cannot be 1; allowed: text"},
      {"[server]\nhost = [1]\n", "a.toml:2: server.host cannot be this; allowed: text"},
      {"[server]\nhost = 2020-01-01\n", "a.toml:2: server.host cannot be this; allowed: text"},
      {"[server.host]\na = 1\n", "a.toml:1: server.host cannot be this; allowed: text"},
      {"[seg]\neviction = \"lru\"\n", "a.toml:2: seg.eviction cannot be \"lru\"; allowed: one of none fifo merge"},
      {"[seg]\nheap_size = \"1KB\"\n",
       "a.toml:2: seg.heap_size cannot be \"1KB\"; allowed: a size such as 4096, \"64MB\" or \"4GB\", from \"1MB\" to "
       "\"1TB\""},
      {"[server]\nratio = 1.5\n",
       "a.toml:2: server.ratio cannot be 1.5; allowed: a number, also with a fraction, from 0.0 to 1.0"},
  };
  for (const Row& row : rows) EXPECT_EQ(failure(row.toml), row.message) << row.toml;
  EXPECT_TRUE(failure("[server\nport = 1\n").starts_with("a.toml:1: not valid TOML: "));
  EXPECT_EQ(failure(std::string(kMaxFileBytes + 1, '\n')), "a.toml: larger than 1048576 bytes");
}

TEST(Config, FirstErrorOfTheFileWins) {
  EXPECT_TRUE(failure("[server]\nzzz = 1\n[aaa]\n").starts_with("a.toml:2: server.zzz"));
}

TEST(Config, SetsFromTheCommandLine) {
  Settings s;
  for (const char* assignment : {"server.port=1", "server.fast=TRUE", "server.allow=a,b", "server.ratio=0.25",
                                 "seg.heap_size=2GB", "server.host=a=b", "server.offset=-7"}) {
    s.config.set(assignment);
  }
  EXPECT_EQ(s.server.port(), 1U);
  EXPECT_TRUE(s.server.fast());
  EXPECT_EQ(s.server.allow(), (List{"a", "b"}));
  EXPECT_EQ(s.server.ratio(), 0.25);
  EXPECT_EQ(s.seg.heap_size(), 2 * kGiB);
  EXPECT_EQ(s.server.host(), "a=b");
  EXPECT_EQ(s.server.offset(), -7);
  const std::pair<const char*, const char*> refused[] = {
      {"server.port", "--set: 'server.port' is not of the form section.key=value"},
      {"=1", "--set: '=1' is not of the form section.key=value"},
      {"server.port=x", "--set: server.port cannot be \"x\"; allowed: a number, not negative, from 0 to 65535"},
      {"server.prot=1", "--set: server.prot: unknown key; did you mean server.port?"},
      {"srv.port=1", "--set: unknown section [srv]; did you mean server.port? (sections: server seg)"},
      {"server.host=\xff", "--set: the value of server.host is too long or not UTF-8"},
  };
  for (const auto& [assignment, message] : refused) {
    try {
      s.config.set(assignment);
      ADD_FAILURE() << assignment;
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(), message);
    }
  }
}

TEST(Config, PrintsWhatLoadsAgain) {
  Settings s;
  s.server.host.set("a \"quoted\" \\ \x01 é");
  s.server.allow.set({"x", "y,z"});
  s.server.idle_timeout.set(std::chrono::milliseconds(1500));
  s.seg.merge_max.set(std::numeric_limits<std::uint64_t>::max());
  s.seg.segment_size.set(1234567);
  const std::string printed = s.config.print();
  Settings again;
  again.config.load_text(printed, "printed.toml");
  EXPECT_EQ(again.config.print(), printed);
  EXPECT_EQ(again.server.host(), s.server.host());
  EXPECT_EQ(again.server.allow(), s.server.allow());
  EXPECT_EQ(again.seg.merge_max(), s.seg.merge_max());
  EXPECT_EQ(again.seg.segment_size(), 1234567U);
}

TEST(Config, LoadsPelikansFilesWithOneWarningForEachIgnoredKey) {
  struct Row {
    const char* file;
    std::size_t warnings;
  };
  for (const Row& row : {Row{"segcache.toml", 34}, Row{"pingserver.toml", 13}}) {
    SCOPED_TRACE(row.file);
    Settings s;
    OtherOptions admin("admin"), debug("debug"), worker("worker");
    PelikanKeys pelikan;
    for (OtherOptions* section : {&admin, &debug, &worker}) s.config.add(*section);
    pelikan.add_to(s.config);
    s.config.load_file(std::string(PELIKAN_TEST_DATA) + "/" + row.file);
    EXPECT_EQ(s.config.warnings().size(), row.warnings);
    EXPECT_TRUE(s.config.warnings().front().find("daemonize is ignored: ") != std::string::npos);
    EXPECT_EQ(admin.port(), 9999U);
    EXPECT_EQ(s.server.host(), "0.0.0.0");
  }
}

TEST(Config, AnOptionWinsOverAnIgnoredKey) {
  struct Klog : Section {
    Klog() : Section("klog") {}
    Option<std::uint64_t> sample{this, "sample", 100, "one in so many"};
  } klog;
  PelikanKeys pelikan;
  Config config;
  pelikan.add_to(config);
  config.add(klog);
  config.load_text("[klog]\nsample = 7\n", "a.toml");
  EXPECT_EQ(klog.sample(), 7U);
  EXPECT_TRUE(config.warnings().empty());
}

TEST(Config, APrivateKeyIsNotIgnored) {
  PelikanKeys pelikan;
  Config config;
  pelikan.add_to(config);
  config.load_text("[tls]\n", "a.toml");
  EXPECT_THROW(config.load_text("[tls]\nprivate_key = 'k'\n", "a.toml"), Error);
}

TEST(Config, FilesThatCannotBeRead) {
  Settings s;
  EXPECT_THROW(s.config.load_file("/no/such/file.toml"), Error);
  EXPECT_THROW(s.config.load_file("/"), Error);
  const std::string big = testing::TempDir() + "pelikan_config_big.toml";
  std::ofstream(big) << std::string(kMaxFileBytes + 10, '#');
  EXPECT_THROW(s.config.load_file(big), Error);
  std::filesystem::remove(big);
}

class Reread : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(file_); }
  void write(std::string_view toml) const { std::ofstream(file_) << toml; }
  std::string file_ = testing::TempDir() + "pelikan_config_reread_test.toml";
};

TEST_F(Reread, SaysWhatChangedAndChangesNothing) {
  write("[server]\nport = 5\nallow = [\"a\"]\n[seg]\nheap_size = \"64MB\"\n");
  Settings s;
  s.config.load_file(file_);
  s.config.set("server.host=h");
  EXPECT_EQ(s.config.files(), std::vector{file_});
  EXPECT_EQ(s.config.reread(), s.config.given());
  write("[server]\nport = 6\nallow = [\"a\", \"b\"]\nhost = \"other\"\nfast = true\n");
  const Given now = s.config.reread();
  EXPECT_EQ(now.at("server.allow"), Value(List{"a", "b"}));
  EXPECT_EQ(now.at("server.host"), Value("h"));  // what was set is still on top
  EXPECT_EQ(changed(s.config.given(), now),
            (std::vector<std::string>{"seg.heap_size", "server.allow", "server.port", "server.fast"}));
  EXPECT_EQ(changed(now, now), std::vector<std::string>{});
  EXPECT_EQ(s.server.port(), 5U);
  EXPECT_EQ(s.server.allow(), List{"a"});
  EXPECT_FALSE(s.server.fast());
}

TEST_F(Reread, ChecksAsTheFirstTime) {
  write("[server]\nport = 5\n");
  Settings s;
  s.config.load_file(file_);
  for (const char* wrong : {"[server]\nport = 70000\n", "[server]\nprot = 5\n", "[server\n", "[sever]\nport = 5\n"}) {
    write(wrong);
    EXPECT_THROW((void)s.config.reread(), Error) << wrong;
  }
  std::filesystem::remove(file_);
  EXPECT_THROW((void)s.config.reread(), Error);
  EXPECT_EQ(s.server.port(), 5U);
}

TEST(ConfigDeathTest, WrongDeclarationsAreRefused) {
  struct Twice : Section {
    Twice() : Section("twice") {}
    Option<bool> a{this, "a", false, "first"};
    Option<bool> b{this, "a", false, "second"};
  } twice;
  EXPECT_DEATH(Config{twice}, "");
  Settings s;
  EXPECT_DEATH(s.server.port.set(70000), "");
}

TEST(Nearest, CountsEdits) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("port", "port"), 0U);
  EXPECT_EQ(edit_distance("prot", "port"), 1U);
  EXPECT_EQ(edit_distance("port", "por"), 1U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance(std::string(1000, 'a'), "a"), 63U);
}

TEST(Utf8, KnowsValidText) {
  for (const char* good : {"", "a", "é", "€", "😀"}) EXPECT_TRUE(valid_utf8(good)) << good;
  for (const char* bad : {"\xff", "\xc3", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\x80"}) {
    EXPECT_FALSE(valid_utf8(bad));
  }
}

}  // namespace
}  // namespace pelikan::config
