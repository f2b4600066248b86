// What each HTTP target answers: no sockets here. Owner: the port. Threads: the admin thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "metrics/exposition.h"

namespace pelikan::admin {

struct Page {
  unsigned status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

// What pages are made of.
struct Contents {
  const std::vector<metrics::Fact>& facts;
  const metrics::Window& window;
  bool ready;
};

// The page at `target` (a query after '?' is passed over).
[[nodiscard]] Page page_at(std::string_view target, const Contents& contents);

}  // namespace pelikan::admin
