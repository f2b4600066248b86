// What a command makes of the item it finds, for SegCache::write(). The storage may throw an answer away and ask again,
// about another item: each answer stands alone, and what happened is the last one.
// Owner: execute(), for one command. Threads: its own.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "backend/memcache/decimal_value.h"
#include "protocol/memcache/memcache.h"
#include "storage/segcache/segcache.h"

namespace pelikan::backend::memcache {

// set, add, replace, cas, append, prepend.
class StoreDecision {
 public:
  using Item = storage::segcache::Item;
  using Verdict = storage::segcache::Verdict;

  StoreDecision(const protocol::memcache::Request& request, std::uint32_t expire_at) noexcept
      : request_(request), expire_at_(expire_at) {}

  Verdict operator()(const Item* current) noexcept;

  // The reply, if it is done.
  [[nodiscard]] std::string_view outcome() const noexcept { return outcome_; }
  // Of the value that is stored.
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  Verdict keep(std::string_view outcome) noexcept {
    outcome_ = outcome;
    return Verdict::keep();
  }
  [[nodiscard]] Verdict decide(const Item* current) noexcept;

  const protocol::memcache::Request& request_;
  std::uint32_t expire_at_;
  std::string_view outcome_;
  std::size_t bytes_ = 0;
};

// incr and decr. The verdict views what is in here.
class NumberDecision {
 public:
  using Item = storage::segcache::Item;
  using Verdict = storage::segcache::Verdict;

  NumberDecision(bool up, std::uint64_t delta) noexcept : up_(up), delta_(delta) {}

  Verdict operator()(const Item* current) noexcept;

  [[nodiscard]] bool found() const noexcept { return found_; }
  // What it becomes; nothing: it was no number.
  [[nodiscard]] std::optional<std::uint64_t> number() const noexcept { return number_; }

 private:
  bool up_;
  std::uint64_t delta_;
  bool found_ = false;
  std::optional<std::uint64_t> number_;
  DecimalText text_{0, 0};
};

}  // namespace pelikan::backend::memcache
