// CHECK(x): the program is wrong if x does not hold. Stays on in release; prints the place and stops the process.
// DCHECK(x): the same for costly conditions; off when NDEBUG is set.
// Never use either on bytes that come from a client, a file or the kernel.
#pragma once

namespace pelikan {

[[noreturn]] void check_failed(const char* condition, const char* file, int line) noexcept;

}  // namespace pelikan

#define CHECK(condition) \
  (static_cast<bool>(condition) ? void(0) : ::pelikan::check_failed(#condition, __FILE__, __LINE__))

#ifdef NDEBUG
#define DCHECK(condition) void(0)
#else
#define DCHECK(condition) CHECK(condition)
#endif
