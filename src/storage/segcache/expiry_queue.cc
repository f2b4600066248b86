#include "storage/segcache/expiry_queue.h"

#include "base/check.h"

namespace pelikan::storage::segcache {

void ExpiryQueue::add(SegmentId id) noexcept {
  const Entry entry{segments_.header(id).last_deadline.get(), id};
  entries_.push_back(entry);
  sift_up(entries_.size() - 1, entry);
}

void ExpiryQueue::remove(SegmentId id) noexcept {
  const std::uint32_t place = segments_.header(id).queue_place;
  if (place == kNotQueued) return;
  segments_.header(id).queue_place = kNotQueued;
  const Entry last = entries_.back();
  entries_.pop_back();
  if (place == entries_.size()) return;
  if (place > 0 && last.deadline < entries_[(place - 1) / 2].deadline) {
    sift_up(place, last);
  } else {
    sift_down(place, last);
  }
}

SegmentId ExpiryQueue::due(std::uint32_t now_sec) noexcept {
  for (int step = 0; step < kStepsMax && !entries_.empty() && entries_.front().deadline <= now_sec; ++step) {
    const SegmentId id = entries_.front().segment;
    const std::uint32_t deadline = segments_.header(id).last_deadline.get();
    if (deadline <= now_sec) return id;
    if (deadline == kNever) {
      remove(id);
    } else {
      sift_down(0, {deadline, id});
    }
  }
  return kNoSegment;
}

void ExpiryQueue::sift_up(std::size_t place, Entry entry) noexcept {
  while (place > 0) {
    const std::size_t parent = (place - 1) / 2;
    if (entries_[parent].deadline <= entry.deadline) break;
    put(place, entries_[parent]);
    place = parent;
  }
  put(place, entry);
}

void ExpiryQueue::sift_down(std::size_t place, Entry entry) noexcept {
  while (true) {
    std::size_t child = 2 * place + 1;
    if (child >= entries_.size()) break;
    if (child + 1 < entries_.size() && entries_[child + 1].deadline < entries_[child].deadline) ++child;
    if (entries_[child].deadline >= entry.deadline) break;
    put(place, entries_[child]);
    place = child;
  }
  put(place, entry);
}

void ExpiryQueue::check_invariants() const {
  for (std::size_t place = 0; place < entries_.size(); ++place) {
    const SegmentHeader& at = segments_.header(entries_[place].segment);
    CHECK(at.queue_place == place);
    CHECK(at.sealed());
    CHECK(entries_[place].deadline <= at.last_deadline.get());
    CHECK(place == 0 || entries_[(place - 1) / 2].deadline <= entries_[place].deadline);
  }
}

}  // namespace pelikan::storage::segcache
