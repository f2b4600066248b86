// The choice of the engine where io_uring works and where it is forbidden. The kernel's refusals are made with a
// seccomp filter in a child process; no setting of this machine is needed.
#include <sys/syscall.h>

#include <cstring>

#include "net/loop_test_kit.h"
#include "net/uring_probe.h"

namespace pelikan::net {
namespace {

using namespace testing;

bool echo_works(Engine engine) {
  LoopOptions options;
  options.engine = engine;
  const auto loop = make_loop(options);
  auto [ours, theirs] = connect_ends(Transport::kPair);
  Recorder stream(*loop);
  stream.when_data = [&](std::string_view bytes) { stream.send(bytes); };
  loop->attach(stream, std::move(ours));
  peer_write(theirs, "x");
  run_until(*loop, [&] { return stream.sent == 1; });
  return peer_read(theirs) == "x";
}

int check_refusal(long system_call, int error, const char* step) {
  if (!forbid(system_call, SECCOMP_RET_ERRNO | static_cast<unsigned>(error))) return 1;
  const EngineChoice choice = choose_engine(Engine::kAuto);
  if (choice.engine != Engine::kEpoll) return 2;
  if (choice.reason != std::string(step) + ": " + std::strerror(error)) {
    std::fprintf(stderr, "reason: %s\n", choice.reason.c_str());
    return 3;
  }
  if (!echo_works(choice.engine)) return 4;
  try {
    static_cast<void>(choose_engine(Engine::kUring));
    return 5;
  } catch (const std::runtime_error& problem) {
    return std::string(problem.what()).ends_with(choice.reason) ? 0 : 6;
  }
}

TEST(Engine, FallsBackToEpollWhereIoUringIsForbidden) {
  const struct {
    long system_call;
    int error;
    const char* step;
  } refusals[] = {
      {SYS_io_uring_setup, EPERM, "io_uring_queue_init"},
      {SYS_io_uring_setup, ENOSYS, "io_uring_queue_init"},
      {SYS_io_uring_setup, EINVAL, "io_uring_queue_init"},
      {SYS_io_uring_setup, ENOMEM, "io_uring_queue_init"},
      {SYS_io_uring_setup, EACCES, "io_uring_queue_init"},
      {SYS_io_uring_register, EPERM, "io_uring_register_buf_ring"},
      {SYS_io_uring_register, EINVAL, "io_uring_register_buf_ring"},
  };
  if (!expect_uring()) GTEST_SKIP() << "PELIKAN_NO_IO_URING=1";
  for (const auto& refusal : refusals) {
    SCOPED_TRACE(std::string(refusal.step) + " " + std::strerror(refusal.error));
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) ::_exit(check_refusal(refusal.system_call, refusal.error, refusal.step));
    expect_success(child);
  }
}

// A ring that can be made but not used: every submission is refused.
TEST(Engine, FallsBackWhereSubmittingFails) {
  if (!expect_uring()) GTEST_SKIP() << "PELIKAN_NO_IO_URING=1";
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (!forbid(SYS_io_uring_enter, SECCOMP_RET_ERRNO | EPERM)) ::_exit(1);
    const EngineChoice choice = choose_engine(Engine::kAuto);
    ::_exit(choice.engine == Engine::kEpoll && choice.reason.starts_with("multishot receive: ") ? 0 : 2);
  }
  expect_success(child);
}

TEST(Engine, IsTheOneAskedFor) {
  const EngineChoice epoll = choose_engine(Engine::kEpoll);
  EXPECT_EQ(epoll.engine, Engine::kEpoll);
  EXPECT_EQ(epoll.reason, "forced by net.engine");
  EXPECT_TRUE(echo_works(Engine::kEpoll));
}

TEST(Engine, IoUringWorksHere) {
  if (!expect_uring()) GTEST_SKIP() << "PELIKAN_NO_IO_URING=1";
  EXPECT_EQ(probe_uring(), "");
  EXPECT_EQ(choose_engine(Engine::kAuto).engine, Engine::kUring);
  EXPECT_EQ(choose_engine(Engine::kAuto).reason, "probe passed");
  EXPECT_EQ(choose_engine(Engine::kUring).reason, "forced by net.engine");
  EXPECT_TRUE(echo_works(Engine::kUring));
}

}  // namespace
}  // namespace pelikan::net
