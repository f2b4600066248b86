// Store::check_invariants: what must hold between any two requests, checked by walking everything.
#include <array>
#include <unordered_set>
#include <vector>

#include "base/check.h"
#include "storage/segcache/store.h"

namespace pelikan::storage::segcache {
namespace {

struct Sums {
  std::uint64_t live_items = 0;
  std::uint64_t live_bytes = 0;
  std::uint64_t written_items = 0;
  std::uint64_t written_bytes = 0;
  std::uint32_t segments = 0;
};

// One segment against its own header.
void check_segment(const Segments& segments, SegmentId id) {
  const SegmentHeader& at = segments.header(id);
  std::uint32_t offset = 0;
  std::uint32_t items = 0;
  std::uint32_t live_items = 0;
  std::uint32_t live_bytes = 0;
  const Amount written = at.written();
  while (offset < written.bytes) {
    const Place place{id, offset};
    const ItemHeader& item = segments.item(place);
    const std::uint32_t bytes = item.total_bytes();
    ++items;
    if (!item.dead()) {
      ++live_items;
      live_bytes += bytes;
      CHECK(segments.deadline(place) <= at.last_deadline.get());
    }
    offset += bytes;
  }
  CHECK(offset == written.bytes && offset <= segments.segment_bytes());
  CHECK(items == written.items && live_items == at.live().items && live_bytes == at.live().bytes);
  CHECK(at.open() || at.examined() || at.queue_place != kNotQueued || at.last_deadline.get() == kNever);
}

Sums check_chain(const Segments& segments, unsigned chain, bool several) {
  Sums sums;
  SegmentId before = kNoSegment;
  for (SegmentId id = segments.chain(chain).head; id != kNoSegment; id = segments.header(id).next) {
    const SegmentHeader& at = segments.header(id);
    CHECK(at.prev == before);
    CHECK(segments.in_use(at) && at.chain == chain && at.shift == expiry_shift(at.ttl_class()));
    if (!several) {
      CHECK(!at.open() || at.next == kNoSegment);
      CHECK(!at.sealed() || at.live().items > 0);
    }
    check_segment(segments, id);
    sums.live_items += at.live().items;
    sums.live_bytes += at.live().bytes;
    sums.written_items += at.written().items;
    sums.written_bytes += at.written().bytes;
    ++sums.segments;
    before = id;
  }
  CHECK(segments.chain(chain).tail == before);
  return sums;
}

// Every block belongs to one item that is not dead, in a chain or flushed; every lent segment to one block.
class BlockCheck {
 public:
  explicit BlockCheck(const Segments& segments) : segments_(segments), taken_(segments.count()) {}

  void list(SegmentId head, bool flushed) {
    for (SegmentId id = head; id != kNoSegment; id = segments_.header(id).next) {
      std::uint32_t lent = 0;
      segments_.for_each_live(id, [&](Place, const ItemHeader& item) {
        if (item.large()) lent += block(item.large_value());
        return true;
      });
      const SegmentHeader& at = segments_.header(id);
      CHECK(lent == at.lent.load());
      queue_lent_[static_cast<unsigned>(at.queue())] += lent;
      if (!flushed) ++queued_[static_cast<unsigned>(at.queue())];
    }
  }
  void totals() const {
    std::uint32_t lent = 0;
    for (SegmentId id = 0; id < segments_.count(); ++id) {
      const SegmentHeader& at = segments_.header(id);
      const bool is_lent = at.state.load() == SegmentState::kLent;
      CHECK(is_lent == taken_[id]);
      CHECK(at.filled() || at.lent.load() == 0);
      lent += is_lent ? 1 : 0;
    }
    CHECK(lent == segments_.lent_count());
    CHECK(items_ == segments_.large_items() && bytes_ == segments_.large_bytes());
    for (const Queue queue : {Queue::kMain, Queue::kSmall}) {
      const auto i = static_cast<unsigned>(queue);
      CHECK(segments_.queued(queue) == queued_[i] + queue_lent_[i]);
    }
  }

 private:
  std::uint32_t block(const LargeValue& value) {
    CHECK(segments_.header(value.lent).block == value.data);
    std::uint32_t lent = 0;
    for (SegmentId id = value.lent; id != kNoSegment; id = segments_.header(id).next, ++lent) {
      CHECK(!taken_[id]);
      taken_[id] = true;
    }
    CHECK(lent == segments_.lent_for(value.bytes));
    ++items_;
    bytes_ += value.bytes;
    return lent;
  }

  const Segments& segments_;
  std::vector<bool> taken_;
  std::array<std::uint32_t, kQueues> queued_{};
  std::array<std::uint32_t, kQueues> queue_lent_{};
  std::uint32_t items_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace

void Store::check_invariants() const {
  Sums sums;
  BlockCheck blocks(segments_);
  for (unsigned i = 0; i < kChains; ++i) {
    const Sums chain = check_chain(segments_, i, several_);
    blocks.list(segments_.chain(i).head, false);
    sums.live_items += chain.live_items;
    sums.live_bytes += chain.live_bytes;
    sums.written_items += chain.written_items;
    sums.written_bytes += chain.written_bytes;
    sums.segments += chain.segments;
  }
  for (SegmentId id = segments_.flushed_head(); id != kNoSegment; id = segments_.header(id).next) ++sums.segments;
  const Totals totals = shared_->totals();
  const auto live_items = static_cast<std::uint64_t>(totals.live_items);
  CHECK(sums.live_items == live_items && sums.live_bytes == static_cast<std::uint64_t>(totals.live_bytes));
  CHECK(sums.written_items == static_cast<std::uint64_t>(totals.written_items));
  CHECK(sums.written_bytes == static_cast<std::uint64_t>(totals.written_bytes));
  CHECK(sums.segments + segments_.free_count() + segments_.lent_count() == segments_.count());
  blocks.list(segments_.flushed_head(), true);
  blocks.totals();
  CHECK(segments_.free_count() >= 1);

  // As many slots as items, all different, each at a live item: so one each.
  std::unordered_set<std::uint64_t> seen;
  index_.for_each_current([&](std::uint64_t, Slot slot) {
    const Place place{slot.segment(), slot.offset()};
    CHECK(place.offset < segments_.header(place.segment).written().bytes);
    CHECK(!segments_.item(place).dead());
    CHECK(seen.insert(slot.bits).second);
  });
  CHECK(seen.size() == live_items);
  std::uint64_t found = 0;
  for (unsigned i = 0; i < kChains; ++i) {
    for (SegmentId id = segments_.chain(i).head; id != kNoSegment; id = segments_.header(id).next) {
      segments_.for_each_live(id, [&](Place place, const ItemHeader& item) {
        found += seen.count(segments_.slot(index_.hash(item.key()), place).bits);
        return true;
      });
    }
  }
  CHECK(found == live_items);
  index_.check_invariants();
  shared_->expiry_queue.check_invariants();

  if (several_) return;  // a flush counts what others were just taking out
  const std::uint64_t gone = metrics_.item_replace.value() + metrics_.item_delete.value() +
                             metrics_.item_expire.value() + metrics_.item_evict.value() + metrics_.item_flush.value();
  CHECK(metrics_.item_allocate.value() == gone + live_items);
  CHECK(metrics_.segment_request.value() ==
        metrics_.segment_request_success.value() + metrics_.segment_request_failure.value());
}

}  // namespace pelikan::storage::segcache
