// What the memcache commands count, where it happens. Names as Pelikan's: x = commands, x_ex = refused, the rest are
// outcomes.
// Owner: the ServerState, one per backend. Threads: written by that backend's, read by any.
#pragma once

#include "metrics/metrics.h"
#include "protocol/memcache/request.h"

namespace pelikan::backend::memcache {

struct ReadCounters {
  metrics::Counter commands, refused, keys, hits, misses;
};

struct StoreCounters {
  metrics::Counter commands, refused, stored, not_stored;
};

struct KeyedCounters {
  metrics::Counter commands, refused, hits, misses;
};

struct Counters : metrics::Group {
  using Command = protocol::memcache::Command;

  ReadCounters get{{this, "get", "get commands"},
                   {this, "get_ex", "get commands refused"},
                   {this, "get_key", "keys asked for by get"},
                   {this, "get_key_hit", "keys found by get"},
                   {this, "get_key_miss", "keys not found by get"}};
  ReadCounters gets{{this, "gets", "gets commands"},
                    {this, "gets_ex", "gets commands refused"},
                    {this, "gets_key", "keys asked for by gets"},
                    {this, "gets_key_hit", "keys found by gets"},
                    {this, "gets_key_miss", "keys not found by gets"}};
  ReadCounters gat{{this, "gat", "gat commands"},
                   {this, "gat_ex", "gat commands refused"},
                   {this, "gat_key", "keys asked for by gat"},
                   {this, "gat_key_hit", "keys found by gat"},
                   {this, "gat_key_miss", "keys not found by gat"}};
  ReadCounters gats{{this, "gats", "gats commands"},
                    {this, "gats_ex", "gats commands refused"},
                    {this, "gats_key", "keys asked for by gats"},
                    {this, "gats_key_hit", "keys found by gats"},
                    {this, "gats_key_miss", "keys not found by gats"}};
  StoreCounters set{{this, "set", "set commands"},
                    {this, "set_ex", "set commands refused"},
                    {this, "set_stored", "values stored by set"},
                    {this, "set_not_stored", "set commands that stored nothing"}};
  StoreCounters add{{this, "add", "add commands"},
                    {this, "add_ex", "add commands refused"},
                    {this, "add_stored", "values stored by add"},
                    {this, "add_not_stored", "add commands for a key that was there"}};
  StoreCounters replace{{this, "replace", "replace commands"},
                        {this, "replace_ex", "replace commands refused"},
                        {this, "replace_stored", "values stored by replace"},
                        {this, "replace_not_stored", "replace commands for a key that was not there"}};
  StoreCounters append{{this, "append", "append and appendrl commands"},
                       {this, "append_ex", "append and appendrl commands refused"},
                       {this, "append_stored", "values grown at the end"},
                       {this, "append_not_stored", "append and appendrl commands without effect"}};
  StoreCounters prepend{{this, "prepend", "prepend and prependrl commands"},
                        {this, "prepend_ex", "prepend and prependrl commands refused"},
                        {this, "prepend_stored", "values grown at the front"},
                        {this, "prepend_not_stored", "prepend and prependrl commands without effect"}};
  StoreCounters cas{{this, "cas", "cas commands"},
                    {this, "cas_ex", "cas commands refused"},
                    {this, "cas_stored", "values stored by cas"},
                    {this, "cas_not_found", "cas commands for a key that was not there"}};
  metrics::Counter cas_exists{this, "cas_exists", "cas commands for a value that had changed"};
  KeyedCounters erase{{this, "delete", "delete commands"},
                      {this, "delete_ex", "delete commands refused"},
                      {this, "delete_deleted", "keys deleted"},
                      {this, "delete_not_found", "delete commands for a key that was not there"}};
  KeyedCounters incr{{this, "incr", "incr commands"},
                     {this, "incr_ex", "incr commands refused"},
                     {this, "incr_stored", "values incremented"},
                     {this, "incr_not_found", "incr commands for a key that was not there"}};
  KeyedCounters decr{{this, "decr", "decr commands"},
                     {this, "decr_ex", "decr commands refused"},
                     {this, "decr_stored", "values decremented"},
                     {this, "decr_not_found", "decr commands for a key that was not there"}};
  KeyedCounters touch{{this, "touch", "touch commands"},
                      {this, "touch_ex", "touch commands refused"},
                      {this, "touch_touched", "keys given a new expiry by touch"},
                      {this, "touch_not_found", "touch commands for a key that was not there"}};
  metrics::Counter flush_all{this, "flush_all", "flush_all commands"};
  metrics::Counter flush_all_ex{this, "flush_all_ex", "flush_all commands refused"};
  metrics::Counter version{this, "version", "version commands"};
  metrics::Counter quit{this, "quit", "quit commands"};
  metrics::Counter stats{this, "stats", "stats commands"};
  metrics::Counter other{this, "memcache_other", "other memcache commands"};
  metrics::Counter unknown{this, "memcache_unknown", "memcache lines that are no command"};
  metrics::Counter binary{this, "memcache_binary_refused", "sessions that began with the binary protocol"};
  metrics::Counter too_large{this, "store_too_large", "stores refused because no item may be so large"};
  metrics::Counter no_memory{this, "store_no_memory", "stores refused because the heap is full and nothing may leave"};

  // REQUIRES: is_read(command).
  [[nodiscard]] ReadCounters& read(Command command) noexcept {
    ReadCounters* const counters[] = {&get, &gets, &gat, &gats};
    return *counters[static_cast<std::size_t>(command)];
  }
  // REQUIRES: is_store(command).
  [[nodiscard]] StoreCounters& store(Command command) noexcept {
    StoreCounters* const counters[] = {&set, &add, &replace, &append, &prepend, &cas, &append, &prepend};
    return *counters[static_cast<std::size_t>(command) - static_cast<std::size_t>(Command::kSet)];
  }
};

}  // namespace pelikan::backend::memcache
