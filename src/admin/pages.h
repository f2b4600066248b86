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
  const char* allow = "";  // of status 405: the methods that would do
};

// What pages are made of.
struct Contents {
  const std::vector<metrics::Fact>& facts;
  const metrics::Window& window;
  bool ready;
};

inline constexpr std::string_view kReloadPath = "/tls/reload";  // what POST is for; the port answers it

[[nodiscard]] std::string_view path_of(std::string_view target);  // without its query

// The page at `target`.
[[nodiscard]] Page page_at(std::string_view target, const Contents& contents);

}  // namespace pelikan::admin
