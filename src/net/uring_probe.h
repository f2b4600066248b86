// Does everything that the io_uring engine needs work here? Containers and old kernels say no in many ways; only trying
// tells.
#pragma once

#include <string>

namespace pelikan::net {

// Empty when all works, else what failed: "io_uring_queue_init: Operation not permitted". Takes well below a
// millisecond, at most about a second on a kernel that accepts everything and completes nothing. Any thread.
[[nodiscard]] std::string probe_uring();

}  // namespace pelikan::net
