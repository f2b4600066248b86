#include "storage/segcache/policies/simple.h"

#include "storage/segcache/store.h"

namespace pelikan::storage::segcache {

bool NoEviction::make_room(Store& store) noexcept { return store.compact_any(); }

bool Fifo::make_room(Store& store) noexcept { return store.evict_oldest(); }

}  // namespace pelikan::storage::segcache
