// Cutting the input anywhere must not change the answer, however wrong the input is. The first two bytes say where to
// cut.
#include <cstddef>
#include <string>
#include <string_view>

#include "base/check.h"
#include "testing/memcache/server.h"

using namespace pelikan;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  const std::size_t cut = bytes.empty() ? 0 : (data[0] * std::size_t{256} + data[1]) % bytes.size();
  static testing::MemcacheServer whole_server, cut_server;
  whole_server.backend.flush_all();
  cut_server.backend.flush_all();
  whole_server.advance(1);
  cut_server.advance(1);

  testing::Talker whole(whole_server.backend), parts(cut_server.backend);
  const std::string expected = whole.say(bytes);
  std::string reply = parts.say(bytes.substr(0, cut));
  reply += parts.say(bytes.substr(cut));
  // `stats` tells the time it took and how the bytes came; everything else must be the same.
  if (bytes.find("stats") == std::string_view::npos) CHECK(reply == expected);
  CHECK(whole.closed() == parts.closed());
  CHECK(whole.held_bytes() == parts.held_bytes());
  return 0;
}
