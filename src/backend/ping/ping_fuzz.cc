// Cutting the input anywhere must not change the answer.
#include "backend/ping/noop.h"
#include "base/check.h"
#include "protocol/serve.h"

using namespace pelikan;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t cut = bytes.empty() ? 0 : data[0] % bytes.size();
  BufferPool pool(1 << 20);
  Buffer whole(pool), parts(pool);
  protocol::ping::Protocol protocol;
  backend::ping::Noop noop;
  const ServeResult expected = serve(protocol, noop, bytes, whole);
  ServeResult first = serve(protocol, noop, bytes.substr(0, cut), parts);
  if (first.status == ServeStatus::kNeedMore) {
    const ServeResult rest = serve(protocol, noop, bytes.substr(first.consumed), parts);
    first = {rest.status, first.consumed + rest.consumed, 0, 0};
  }
  CHECK(parts.view() == whole.view() && first.status == expected.status && first.consumed == expected.consumed);
  return 0;
}
