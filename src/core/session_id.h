// Names a session for as long as it lives: a slot of its worker's table is used again, a generation is not.
#pragma once

#include <cstdint>

namespace pelikan::core {

struct SessionId {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;
};

}  // namespace pelikan::core
