// The policies that look at segments and at no item. What is evicted goes with all that is in it.
#pragma once

#include "storage/segcache/policies/policy.h"

namespace pelikan::storage::segcache {

// Nothing is evicted: a write fails when only live items are left. Dead ones are squeezed out first.
class NoEviction final : public Policy {
 public:
  [[nodiscard]] bool make_room(Store& store) noexcept override;
};

// A policy that names one victim. When it can name none (only open segments are left), the oldest goes.
class OneVictim : public Policy {
 public:
  [[nodiscard]] bool make_room(Store& store) noexcept final;

 private:
  [[nodiscard]] virtual SegmentId victim(Store& store) noexcept = 0;  // evictable, or kNoSegment
};

// The oldest segment.
class Fifo final : public OneVictim {
  [[nodiscard]] SegmentId victim(Store&) noexcept override { return kNoSegment; }
};

class RandomSegment final : public OneVictim {
  [[nodiscard]] SegmentId victim(Store& store) noexcept override;
};

// The oldest segment of the TTL class that a random one belongs to: a class gives way in proportion to its size.
class RandomFifo final : public OneVictim {
  [[nodiscard]] SegmentId victim(Store& store) noexcept override;
};

// The best by some measure, out of kLooksMax that are evictable: so many in a row of a small heap, random ones of a
// large one, where all would take too long. That is a segment among the best 2 % nine times out of ten.
class Best : public OneVictim {
 private:
  static constexpr unsigned kLooksMax = 128;

  [[nodiscard]] SegmentId victim(Store& store) noexcept final;
  // The least is the best.
  [[nodiscard]] virtual std::uint64_t cost(const Segments& segments, const SegmentHeader& at) const noexcept = 0;
};

// Closest to expiry.
class Cte final : public Best {
  [[nodiscard]] std::uint64_t cost(const Segments&, const SegmentHeader& at) const noexcept override {
    return at.last_deadline.get();
  }
};

// The least live bytes, with the blocks of large items.
class Util final : public Best {
  [[nodiscard]] std::uint64_t cost(const Segments& segments, const SegmentHeader& at) const noexcept override {
    return segments.cost(at);
  }
};

}  // namespace pelikan::storage::segcache
