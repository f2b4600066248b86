// The two policies that look at no item.
#pragma once

#include "storage/segcache/policies/policy.h"

namespace pelikan::storage::segcache {

// Nothing is evicted: a write fails when only live items are left. Dead ones are squeezed out first.
class NoEviction final : public Policy {
 public:
  [[nodiscard]] bool make_room(Store& store) noexcept override;
};

// The oldest segment goes, with all that is in it.
class Fifo final : public Policy {
 public:
  [[nodiscard]] bool make_room(Store& store) noexcept override;
};

}  // namespace pelikan::storage::segcache
