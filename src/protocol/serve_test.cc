// The windows of the request path. The protocol is one letter per request: 'q' asks for the end, '!' is nonsense, a
// digit says that so many letters follow, of which each is handed out as a request of its own (state that must be set
// back when a window is left early). The storage answers each request with its letter.
#include "protocol/serve.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace pelikan {
namespace {

struct Letters {
  struct Request {
    char letter = 0;
    bool seen = false;
  };
  struct Response {
    char letter = 0;
  };
  ParseResult parse(std::string_view bytes, Request& request) {
    std::size_t used = 0;
    if (group_left == 0 && bytes[0] >= '1' && bytes[0] <= '9') {
      const auto group = static_cast<std::size_t>(bytes[0] - '0');
      if (bytes.size() < 1 + group) return {ParseStatus::kNeedMore, 1 + group};
      group_left = group;
      ++used;
    }
    if (bytes[used] == '!') return {ParseStatus::kInvalid, 0};
    if (group_left > 0) --group_left;
    request = {.letter = bytes[used]};
    return {ParseStatus::kDone, used + 1};
  }
  static void compose(const Response& response, Buffer& out) { out.append({&response.letter, 1}); }

  std::size_t group_left = 0;
};

struct Echo {
  void execute(const Letters::Request& request, Replies<Letters>& reply) {
    reply({request.letter});
    if (request.letter == 'q') reply.close();
  }
};
static_assert(!LookingAhead<Echo, Letters>);

struct LookingEcho : Echo {
  void look_ahead(std::span<Letters::Request> requests) {
    windows.push_back(requests.size());
    for (Letters::Request& request : requests) request.seen = true;
  }
  void execute(const Letters::Request& request, Replies<Letters>& reply) {
    seen += request.seen ? 'y' : 'n';
    Echo::execute(request, reply);
  }

  std::vector<std::size_t> windows;
  std::string seen;
};
static_assert(LookingAhead<LookingEcho, Letters>);

struct Outcome {
  ServeStatus status;
  std::uint64_t consumed;
  std::uint64_t wanted;
  std::size_t requests;
  std::string out;

  friend bool operator==(const Outcome&, const Outcome&) = default;
  friend void PrintTo(const Outcome& o, std::ostream* to) {
    *to << "status " << static_cast<int>(o.status) << ", consumed " << o.consumed << ", wanted " << o.wanted
        << ", requests " << o.requests << ", out " << o.out;
  }
};

template <class S>
Outcome serve_once(S& storage, Letters& protocol, std::string_view in, const ServeLimits& limits) {
  BufferPool pool(1 << 20);
  Buffer out(pool);
  const ServeResult result = serve(protocol, storage, in, out, limits);
  return {result.status, result.consumed, result.wanted, result.requests, std::string(out.view())};
}

std::string letters(std::size_t count) { return std::string(count, 'a'); }

TEST(Serve, StopsWhereItSays) {
  const struct {
    std::string in;
    ServeLimits limits;
    Outcome expected;
  } rows[] = {
      {"", {}, {ServeStatus::kNeedMore, 0, 0, 0, ""}},
      {"a", {}, {ServeStatus::kNeedMore, 1, 0, 1, "a"}},
      {letters(16), {}, {ServeStatus::kNeedMore, 16, 0, 16, letters(16)}},
      {letters(40), {}, {ServeStatus::kNeedMore, 40, 0, 40, letters(40)}},
      {"ab3cd", {}, {ServeStatus::kNeedMore, 2, 4, 2, "ab"}},
      {letters(16) + "3cd", {}, {ServeStatus::kNeedMore, 16, 4, 16, letters(16)}},
      {"a!b", {}, {ServeStatus::kInvalid, 1, 0, 1, "a"}},
      {letters(16) + "!", {}, {ServeStatus::kInvalid, 16, 0, 16, letters(16)}},
      {"aqb", {}, {ServeStatus::kClose, 2, 0, 2, "aq"}},
      {"aq!", {}, {ServeStatus::kClose, 2, 0, 2, "aq"}},
      {"aq3b", {}, {ServeStatus::kClose, 2, 0, 2, "aq"}},
      {"aq", {}, {ServeStatus::kClose, 2, 0, 2, "aq"}},
      {letters(15) + "qb", {}, {ServeStatus::kClose, 16, 0, 16, letters(15) + "q"}},
      {letters(15) + "q!", {}, {ServeStatus::kClose, 16, 0, 16, letters(15) + "q"}},
      {letters(9), {.requests_max = 3}, {ServeStatus::kLimit, 3, 0, 3, letters(3)}},
      {letters(3), {.requests_max = 3}, {ServeStatus::kNeedMore, 3, 0, 3, letters(3)}},
      {letters(40), {.requests_max = 20}, {ServeStatus::kLimit, 20, 0, 20, letters(20)}},
      {"aaa!", {.requests_max = 3}, {ServeStatus::kLimit, 3, 0, 3, letters(3)}},
      {letters(9), {.output_bytes_max = 5}, {ServeStatus::kLimit, 5, 0, 5, letters(5)}},
      {letters(5), {.output_bytes_max = 5}, {ServeStatus::kNeedMore, 5, 0, 5, letters(5)}},
      {letters(17), {.output_bytes_max = 16}, {ServeStatus::kLimit, 16, 0, 16, letters(16)}},
      {"aaa!", {.output_bytes_max = 2}, {ServeStatus::kLimit, 2, 0, 2, "aa"}},
      {"aaq", {.output_bytes_max = 2}, {ServeStatus::kLimit, 2, 0, 2, "aa"}},
  };
  for (const auto& row : rows) {
    Letters protocol;
    LookingEcho looking;
    EXPECT_EQ(serve_once(looking, protocol, row.in, row.limits), row.expected) << row.in;
  }
}

// However little may be executed at a time, and whether or not the storage looks ahead, the answers are the same.
TEST(Serve, GoesOnWhereItStopped) {
  const std::string in = "ab9cdefghijkl5mnopqrst";
  for (std::size_t output = 1; output < 20; ++output) {
    for (std::size_t requests = 1; requests < 20; ++requests) {
      const ServeLimits limits{.requests_max = requests, .output_bytes_max = output};
      const auto all = [&](auto storage) {
        Letters protocol;
        std::string out;
        Outcome last{};
        for (std::size_t at = 0; at < in.size() && last.status != ServeStatus::kClose; at += last.consumed) {
          last = serve_once(storage, protocol, std::string_view(in).substr(at), limits);
          EXPECT_TRUE(last.requests > 0 && last.requests <= requests && last.out.size() <= output);
          out += last.out;
        }
        EXPECT_EQ(last.status, ServeStatus::kClose);
        return out;
      };
      EXPECT_EQ(all(Echo{}), "abcdefghijklmnopq");
      EXPECT_EQ(all(LookingEcho{}), "abcdefghijklmnopq");
    }
  }
}

TEST(Serve, ShowsWindowsOfSeveralRequests) {
  Letters protocol;
  LookingEcho echo;
  (void)serve_once(echo, protocol, letters(2 * kLookAhead + 3), {});
  EXPECT_EQ(echo.windows, (std::vector<std::size_t>{kLookAhead, kLookAhead, 3}));
  EXPECT_EQ(echo.seen, std::string(2 * kLookAhead + 3, 'y'));
  (void)serve_once(echo, protocol, "a", {});  // nothing to overlap with
  EXPECT_EQ(echo.windows.size(), 3U);
  EXPECT_EQ(echo.seen.back(), 'n');
}

// The two halves: the same windows, answers and limits.
TEST(Serve, InTwoHalves) {
  BufferPool pool(1 << 20);
  Buffer requests(pool);
  Buffer out(pool);
  Letters protocol;
  LookingEcho echo;
  const ServeResult collected = collect(protocol, "ab9cdefghijk" + letters(20) + "q!", requests);
  EXPECT_EQ(collected.status, ServeStatus::kInvalid);
  EXPECT_EQ(collected.requests, 32U);
  ServeResult executed = execute_all<Letters>(echo, requests, out, {.output_bytes_max = 18});
  EXPECT_EQ(executed.status, ServeStatus::kLimit);
  EXPECT_EQ(executed.requests, 18U);
  out.clear();
  executed = execute_all<Letters>(echo, requests, out);
  EXPECT_EQ(executed.status, ServeStatus::kClose);
  EXPECT_EQ(executed.requests, 14U);
  EXPECT_EQ(out.view(), letters(13) + "q");
  EXPECT_TRUE(requests.empty());
  EXPECT_EQ(echo.windows, (std::vector<std::size_t>{16, 16, 14}));
}

TEST(Serve, CollectHasALimit) {
  BufferPool pool(1 << 20);
  Buffer requests(pool);
  Letters protocol;
  const ServeResult collected = collect(protocol, letters(50), requests, {.requests_max = 20});
  EXPECT_EQ(collected.status, ServeStatus::kLimit);
  EXPECT_EQ(collected.requests, 20U);
  EXPECT_EQ(requests.size(), 20 * sizeof(Letters::Request));
}

}  // namespace
}  // namespace pelikan
