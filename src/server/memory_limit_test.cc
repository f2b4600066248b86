// What the settings add to the reserve, and limits that are too small. That it holds is tests/memory_limit_test.py.
#include "server/memory_limit.h"

#include <gtest/gtest.h>

#include <string>

namespace pelikan::server {
namespace {

using config::kKiB;
using config::kMiB;

void make_small(Settings& settings) {
  settings.core.worker.threads.set(1);
  settings.core.server.max_connections.set(1);
  settings.core.server.buffer_memory.set(config::Size{1 * kMiB});
}

TEST(MemoryLimit, EachSettingAddsItsPart) {
  Settings settings;
  make_small(settings);
  const std::uint64_t least = memory_beside_storage(settings);
  settings.core.worker.threads.set(3);
  EXPECT_EQ(memory_beside_storage(settings), least + 20 * kMiB);
  settings.core.server.max_connections.set(1001);
  EXPECT_EQ(memory_beside_storage(settings), least + 20 * kMiB + 1000 * kKiB);
  settings.core.server.buffer_memory.set(config::Size{5 * kMiB});
  EXPECT_EQ(memory_beside_storage(settings), least + 26 * kMiB + 1000 * kKiB);
  const std::uint64_t plain = memory_beside_storage(settings);
  settings.tls.certificate.set("server.pem");
  EXPECT_EQ(memory_beside_storage(settings), plain + 5 * 5 * kMiB + 1001 * 15 * kKiB + 1024 * 64 * kKiB);
}

TEST(MemoryLimit, BuffersFollowTheLimitUnlessTheyAreSet) {
  const struct {
    std::uint64_t limit, buffers;
  } rows[] = {{100 * kMiB, 16 * kMiB}, {1024 * kMiB, 64 * kMiB}, {64 * 1024 * kMiB, 256 * kMiB}};
  for (const auto& row : rows) {
    Settings settings;
    settings.core.worker.threads.set(1);
    settings.core.server.max_connections.set(1);
    const std::uint64_t left = limit_memory(settings, row.limit, 0);
    EXPECT_EQ(settings.core.server.buffer_memory().bytes, row.buffers);
    EXPECT_EQ(left, row.limit - memory_beside_storage(settings));
  }
  Settings settings;
  make_small(settings);
  (void)limit_memory(settings, 1024 * kMiB, 0);
  EXPECT_EQ(settings.core.server.buffer_memory().bytes, 1 * kMiB);
}

TEST(MemoryLimit, TooLittleIsOneLineThatSaysHowMuchIsNeeded) {
  Settings settings;
  make_small(settings);
  const std::uint64_t needed = memory_beside_storage(settings) + 100;
  EXPECT_EQ(limit_memory(settings, needed, 100), 100u);
  try {
    (void)limit_memory(settings, needed - 1, 100);
    FAIL();
  } catch (const config::Error& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("server.memory_limit = " + std::to_string(needed - 1)), std::string::npos) << text;
    EXPECT_NE(text.find("must be " + std::to_string(needed) + " at least"), std::string::npos) << text;
    EXPECT_EQ(text.find('\n'), std::string::npos);
  }
}

}  // namespace
}  // namespace pelikan::server
