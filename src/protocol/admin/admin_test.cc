// Admin lines: a table of (bytes in, command out), whole and cut at every byte; and what tells HTTP from text.
#include "protocol/admin/admin.h"

#include <gtest/gtest.h>

#include <string>

namespace pelikan::protocol::admin {
namespace {

TEST(Admin, KnowsItsCommands) {
  struct Row {
    std::string_view bytes;
    Command command;
  };
  const Row rows[] = {
      {"stats\r\n", Command::kStats},
      {"stats\n", Command::kStats},
      {"  stats \t \r\n", Command::kStats},
      {"stats segments\r\n", Command::kStatsSegments},
      {"stats memory\r\n", Command::kStatsMemory},
      {"stats memory now\r\n", Command::kUnknown},
      {"stats   segments  \n", Command::kStatsSegments},
      {"stats slabs\r\n", Command::kUnknown},
      {"stats segments now\r\n", Command::kUnknown},
      {"version\r\n", Command::kVersion},
      {"version 1\r\n", Command::kUnknown},
      {"flush_all\r\n", Command::kFlushAll},
      {"flush_all 10\r\n", Command::kUnknown},
      {"quit\r\n", Command::kQuit},
      {"STATS\r\n", Command::kUnknown},
      {"\r\n", Command::kUnknown},
      {"\n", Command::kUnknown},
      {std::string_view("st\0ats\n", 7), Command::kUnknown},
      {"\xff\xfe\n", Command::kUnknown},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.bytes);
    for (std::size_t cut = 0; cut < row.bytes.size(); ++cut) {
      Request request;
      EXPECT_EQ(parse(row.bytes.substr(0, cut), request).status, ParseStatus::kNeedMore);
    }
    Request request;
    const ParseResult result = parse(std::string(row.bytes) + "quit\n", request);
    EXPECT_EQ(result.status, ParseStatus::kDone);
    EXPECT_EQ(result.consumed, row.bytes.size());
    EXPECT_EQ(request.command, row.command);
  }
}

TEST(Admin, LinesHaveALimit) {
  Request request;
  EXPECT_EQ(parse(std::string(kMaxLineBytes - 1, 'x'), request).status, ParseStatus::kNeedMore);
  EXPECT_EQ(parse(std::string(kMaxLineBytes - 1, 'x') + "\n", request).status, ParseStatus::kDone);
  EXPECT_EQ(parse(std::string(kMaxLineBytes, 'x'), request).status, ParseStatus::kInvalid);
  EXPECT_EQ(parse(std::string(kMaxLineBytes, 'x') + "\n", request).status, ParseStatus::kInvalid);
}

TEST(Admin, TellsHttpAndTlsFromText) {
  for (const char* http : {"GET / HTTP/1.1", "HEAD /", "POST /x", "PUT ", "DELETE ", "OPTIONS *", "CONNECT a"}) {
    EXPECT_EQ(detect(http), Dialect::kHttp) << http;
  }
  for (const char* text : {"stats", "s", "quit", "GETX", "get a", "\n", " GET", "Q", "\x16\x02", "\x15\x03"}) {
    EXPECT_EQ(detect(text), Dialect::kText) << text;
  }
  for (const char* tls : {"\x16\x03", "\x16\x03\x01\x02"}) EXPECT_EQ(detect(tls), Dialect::kTls) << tls;
  for (const char* undecided : {"", "\x16", "G", "GET", "P", "CONNECT"})
    EXPECT_EQ(detect(undecided), Dialect::kUndecided) << undecided;
}

}  // namespace
}  // namespace pelikan::protocol::admin
