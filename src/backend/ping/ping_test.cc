#include <gtest/gtest.h>

#include "backend/ping/noop.h"
#include "protocol/serve.h"

namespace pelikan::backend::ping {
namespace {

struct Row {
  const char* in;
  const char* out;
  std::size_t consumed;
  ServeStatus status;
};

TEST(Ping, AnswersTheTable) {
  const Row rows[] = {
      {"PING\r\n", "PONG\r\n", 6, ServeStatus::kNeedMore},
      {"ping\r\nPiNg\n", "PONG\r\nPONG\r\n", 11, ServeStatus::kNeedMore},
      {"PING\r\nPI", "PONG\r\n", 6, ServeStatus::kNeedMore},
      {"PING\r\nPANG\r\n", "PONG\r\n", 6, ServeStatus::kInvalid},
  };
  for (const Row& row : rows) {
    BufferPool pool(1 << 20);
    Buffer out(pool);
    protocol::ping::Protocol protocol;
    Noop noop;
    const ServeResult result = serve(protocol, noop, row.in, out);
    EXPECT_EQ(out.view(), row.out) << row.in;
    EXPECT_EQ(result.consumed, row.consumed) << row.in;
    EXPECT_EQ(result.status, row.status) << row.in;
  }
}

}  // namespace
}  // namespace pelikan::backend::ping
