// The contract of Loop::detach(), one rule per test, over both engines and every kind of socket.
#include "net/loop_test_kit.h"

namespace pelikan::net {
namespace {

using namespace testing;

class DetachTest : public ::testing::TestWithParam<Setup> {
 protected:
  std::unique_ptr<Loop> make(LoopOptions options = {}) const {
    options.engine = GetParam().engine;
    return make_loop(options);
  }
  Ends ends() const { return connect_ends(GetParam().transport); }
};

INSTANTIATE_TEST_SUITE_P(All, DetachTest, ::testing::ValuesIn(setups()), label);

TEST_P(DetachTest, AnotherLoopGoesOnWhereTheFirstStopped) {
  const auto first = make();
  const auto second = make();
  auto [ours, theirs] = ends();
  Recorder stream(*first);
  const int descriptor = ours.get();
  first->attach(stream, std::move(ours));
  turn(*first);
  peer_write(theirs, "one ");
  run_until(*first, [&] { return stream.data == "one "; });
  stream.detach();
  EXPECT_EQ(stream.detached, 0) << "from a later dispatch()";
  run_until(*first, [&] { return stream.detached > 0; });
  EXPECT_EQ(stream.descriptor.get(), descriptor);
  peer_write(theirs, "two");
  for (int i = 0; i < 3; ++i) turn(*first);
  EXPECT_EQ(stream.data, "one ");
  stream.attach_to(*second);
  run_until(*second, [&] { return stream.data == "one two"; });
  stream.send("answer");
  run_until(*second, [&] { return stream.sent == 1; });
  EXPECT_EQ(peer_read(theirs), "answer");
  for (int i = 0; i < 3; ++i) turn(*first);
  EXPECT_EQ(stream.detached, 1);
  close_and_forget(stream);
}

}  // namespace
}  // namespace pelikan::net
