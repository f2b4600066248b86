#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace pelikan {

void check_failed(const char* condition, const char* file, int line) noexcept {
  std::fprintf(stderr, "%s:%d: CHECK(%s) failed\n", file, line, condition);
  std::abort();
}

}  // namespace pelikan
