// What the storage counts. Names are Pelikan's where Pelikan has one.
// Owner: Store. Threads: one writer; the gauges are brought up to date once per turn.
#pragma once

#include "metrics/metrics.h"

namespace pelikan::storage::segcache {

struct SegMetrics : metrics::Group {
  metrics::Counter segment_request{this, "segment_request", "segments asked for by writes"};
  metrics::Counter segment_request_success{this, "segment_request_success", "segments given to writes"};
  metrics::Counter segment_request_failure{this, "segment_request_failure", "writes that found no segment"};
  metrics::Counter segment_return{this, "segment_return", "segments given back, for whatever reason"};
  metrics::Counter segment_evict{this, "segment_evict", "segments dropped to make room"};
  metrics::Counter segment_merge{this, "segment_merge", "segments emptied to make room, with some items moved"};
  metrics::Counter segment_compact{this, "segment_compact", "half-empty segments joined with a neighbour"};
  metrics::Counter segment_expire{this, "segment_expire", "segments dropped because all in them had expired"};
  metrics::Counter segment_clear{this, "segment_clear", "segments dropped after a flush"};
  metrics::Gauge segment_free{this, "segment_free", "segments without items"};
  metrics::Gauge segment_current{this, "segment_current", "segments with items"};
  metrics::Gauge segment_lent{this, "segment_lent", "segments whose memory values in blocks of their own have"};

  metrics::Gauge heap_bytes{this, "heap_bytes", "memory of the heap: of segments that were written to, and of blocks"};

  metrics::Counter hash_insert{this, "hash_insert", "items entered into the index"};
  metrics::Counter hash_insert_ex{this, "hash_insert_ex", "items that left because their chain of buckets was full"};
  metrics::Counter hash_remove{this, "hash_remove", "items taken out of the index one by one"};
  metrics::Counter hash_sweep{this, "hash_sweep", "times the whole index was cleared of stale slots"};
  metrics::Gauge hash_bytes{this, "hash_bytes", "memory of the index, with what is ready for its growth"};
  metrics::Gauge policy_bytes{this, "policy_bytes", "memory of the eviction policy (its ghost table)"};

  metrics::Counter item_allocate{this, "item_allocate", "items stored"};
  metrics::Counter item_replace{this, "item_replace", "items that a newer version replaced"};
  metrics::Counter item_delete{this, "item_delete", "items deleted"};
  metrics::Counter item_expire{this, "item_expire", "items reclaimed because they had expired"};
  metrics::Counter item_evict{this, "item_evict", "items dropped to make room"};
  metrics::Counter item_flush{this, "item_flush", "items dropped by a flush"};
  metrics::Counter item_relink{this, "item_relink", "items kept by eviction, under a new CAS token"};
  metrics::Counter item_compacted{this, "item_compacted", "items moved by a compaction, under a new CAS token"};
  metrics::Gauge item_current{this, "item_current", "items in the cache"};
  metrics::Gauge item_current_bytes{this, "item_current_bytes",
                                    "bytes of the items in the cache, headers included, but for values in blocks"};
  metrics::Gauge item_large{this, "item_large", "items whose value does not fit a segment and has a block of its own"};
  metrics::Gauge item_large_bytes{this, "item_large_bytes", "bytes of those values"};
  metrics::Gauge item_dead{this, "item_dead", "replaced or deleted items whose segment is still in use"};
  metrics::Gauge item_dead_bytes{this, "item_dead_bytes", "bytes of those items"};
};

}  // namespace pelikan::storage::segcache
