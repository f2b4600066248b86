// This server's own policy: a small and a main queue of segments, items kept by the hits expected of them per byte.
// docs/eviction.md explains it.
//
// The oldest segment of a queue is examined, item by item: kept items are appended to the open main segment of their
// TTL class, all others are dropped. An item's state, 4 bits of its heat, sums up its past:
//
//      0          1 ... 6                 7 ... 14
//    | fresh |  left small with 0, 1,  |  main: mean of the past and the present round of hits,
//    |       |  2, 3-4, 5-8, 9+ hits   |  on a ladder of 8 steps
//
// `expected_` learns what each state was followed by. An item of main is fresh when the ghost table sent it there.
// Owner: shared.h. Threads: under room, but where policy.h says otherwise.
// Limits: an examination copies at most one segment; make_room() examines at most kExaminationsMax, then drops one
//         whole.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "storage/segcache/policies/ghost.h"
#include "storage/segcache/policies/policy.h"

namespace pelikan::storage::segcache {

class Seger final : public Policy {
 public:
  explicit Seger(std::uint64_t heap_bytes) : ghost_(heap_bytes) {}

  [[nodiscard]] bool make_room(Store& store) noexcept override;
  [[nodiscard]] bool begin(Store& store) noexcept override;
  void examine(Store& store, std::uint32_t bytes) noexcept override;
  [[nodiscard]] Queue queue_for_new(std::uint64_t hash) noexcept override;
  [[nodiscard]] HeatKind heat_kind() const noexcept override { return HeatKind::kRounds; }
  [[nodiscard]] std::uint64_t bytes() const noexcept override { return ghost_.bytes(); }

  static constexpr std::uint32_t kStates = 15;
  // The state of an item that had `hits` in the small queue, or in main after being in `state`.
  [[nodiscard]] static std::uint32_t state_after_small(std::uint32_t hits) noexcept;
  [[nodiscard]] static std::uint32_t state_after_main(std::uint32_t state, std::uint32_t hits) noexcept;

 private:
  // Found on four traces, see docs/eviction.md; none is sharp.
  static constexpr double kSmallPart = 0.15;  // of all segments: from there on small is examined before main
  static constexpr double kMainLacks = 1.5;   // small has so many times its part: main is losing more than it gets
  static constexpr double kKeptPart = 0.55;   // of the live bytes of an examined segment
  static constexpr double kSteer = 1.03;
  static constexpr double kLearn = 1.0 / 500;
  static constexpr std::uint32_t kHitsLearned = 8;  // more teach nothing
  static constexpr double kGhostPart = 1.0 / 3;     // keys remembered, as a part of the items of average size that fit
  static constexpr double kMeanWeight = 1.0 / 64;
  static constexpr unsigned kExaminationsMax = 16;
  static constexpr unsigned kGhostLinesAtOnce = 1024;

  [[nodiscard]] std::uint32_t state_now(Queue queue, const ItemHeader& item) noexcept;
  void learn_size(const Store& store, double mean_bytes) noexcept;

  Ghost ghost_;
  // What is learned. Threads that examine at the same time may lose each other's lessons.
  std::array<std::atomic<double>, kStates> expected_ = {1.1, 0.1, 1.1, 2.1, 3.1, 4.1, 5.1, 0.1,
                                                        1.1, 2.1, 3.1, 4.1, 5.1, 6.1, 7.1};
  std::atomic<double> threshold_{0};  // hits per byte; 0 until there is something to start from
  double item_bytes_ = 0;             // of an item that leaves small, kept or not, on average; room
};

}  // namespace pelikan::storage::segcache
