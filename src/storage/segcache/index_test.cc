// The index between threads: it grows, is swept, and slots come, go and are replaced, while others look up. Items lie
// still here; that they are evicted under readers is concurrent_test's.
#include "storage/segcache/index.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace pelikan::storage::segcache {
namespace {

constexpr std::size_t kKeys = 20'000;
constexpr std::size_t kWriters = 2;
constexpr std::size_t kReaders = 2;

// Two items for each key, so that one can take the other's place.
class Items {
 public:
  explicit Items(Segments& segments) : segments_(segments) {
    for (std::size_t i = 0; i < kKeys; ++i) {
      keys_.push_back("key " + std::to_string(i));
      for (auto& places : places_) places.push_back(write(keys_.back()));
    }
  }
  [[nodiscard]] const std::string& key(std::size_t i) const { return keys_[i]; }
  [[nodiscard]] Place place(std::size_t i, std::size_t version) const { return places_[version][i]; }

 private:
  Place write(const std::string& key) {
    const auto bytes = static_cast<std::uint32_t>(item_bytes(key.size(), 0, false));
    if (open_ == kNoSegment || !segments_.has_room(open_, bytes)) open_ = segments_.open_new(kNeverClass, 1, 0);
    const Place place = segments_.end_of(open_);
    auto* item = new (&segments_.item(place)) ItemHeader(key.size(), 0, false, kExpiryNever);
    item->fill(0, key, {}, {});
    segments_.wrote(place, bytes);
    return place;
  }

  Segments& segments_;
  SegmentId open_ = kNoSegment;
  std::vector<std::string> keys_;
  std::array<std::vector<Place>, 2> places_;
};

class SharedIndexTest : public ::testing::Test {
 protected:
  [[nodiscard]] Slot slot(std::size_t i, std::size_t version) const {
    return segments_.slot(index_.hash(items_.key(i)), items_.place(i, version));
  }
  [[nodiscard]] Slot look_up(std::size_t i) const { return index_.look_up(index_.hash(items_.key(i)), items_.key(i)); }
  void put(std::size_t i, std::size_t version) {
    index_.grow(++puts_);  // more often than needed: splitting is what is tested
    const Index::Hold hold(index_, index_.hash(items_.key(i)));
    if (SlotCell* cell = index_.find(hold, items_.key(i)); cell != nullptr) {
      cell->set(slot(i, version));
    } else {
      ASSERT_TRUE(index_.insert(hold, slot(i, version)));
    }
  }
  void take_out(std::size_t i) {
    const Index::Hold hold(index_, index_.hash(items_.key(i)));
    if (SlotCell* cell = index_.find(hold, items_.key(i)); cell != nullptr) cell->set({});
  }

  Grace grace_{kReaders + kWriters};
  Segments segments_{16, 256 * 1024, grace_};
  Items items_{segments_};
  Index index_{segments_, KeyHash(std::random_device{}()), 1, 1 << 14};
  std::atomic<std::uint64_t> puts_{0};
};

// Of each four keys one is there from the start and replaced all the time (the others of that kind come later), one is
// never there, one comes and goes, and one is put in once: so the index grows under all of it.
TEST_F(SharedIndexTest, ReadersNeverMissWhatIsThereNorSeeWhatIsNot) {
  constexpr std::size_t kThere = kKeys / 20;
  for (std::size_t i = 0; i < kThere; i += 4) put(i, 0);
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> wrong{0};
  std::atomic<std::uint64_t> looked{0};
  {
    std::vector<std::jthread> threads;
    for (std::size_t reader = 0; reader < kReaders; ++reader) {
      threads.emplace_back([&, reader] {
        std::mt19937 random(static_cast<unsigned>(reader));
        while (!done.load(std::memory_order_acquire)) {
          const std::size_t i = random() % (kThere / 4) * 4;
          const Slot found = look_up(i);
          wrong += found != slot(i, 0) && found != slot(i, 1);
          wrong += !look_up(i + 1).empty();
          ++looked;
        }
      });
    }
    std::vector<std::jthread> writers;
    for (std::size_t writer = 0; writer < kWriters; ++writer) {
      writers.emplace_back([&, writer] {
        std::mt19937 random(static_cast<unsigned>(100 + writer));
        for (std::size_t i = kThere + 4 * writer; i < kKeys; i += 4 * kWriters) {
          put(i, 0);
          put(i + 3, 0);
          for (int n = 0; n < 4; ++n) put(random() % (kThere / 4) * 4, random() % 2);
          const std::size_t passing = random() % (kKeys / 4) * 4 + 2;
          random() % 2 == 0 ? put(passing, random() % 2) : take_out(passing);
          if (writer == 0) index_.sweep(8);
        }
      });
    }
    writers.clear();
    done = true;
  }
  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(looked, 0u);
  EXPECT_GT(index_.buckets(), kKeys / 4 / Index::kItemsPerBucket);
  index_.check_invariants();
}

}  // namespace
}  // namespace pelikan::storage::segcache
