// What several threads did to a shared cache, and when: what linearizable.h judges.
//
// Each operation has two stamps, one taken before the call and one after it returned, both from one counter. So if one
// operation was over before another began, their stamps say so; operations that overlap may have happened in any order.
// A turn, in which a thread reads the clock, has one stamp, taken before the clock is told to the cache.
//
// Threads:  each thread has its own Log; the counter is shared. What joins the threads makes the logs readable.
// Limits:   the shared counter orders the threads, so it hides from ThreadSanitizer what the cache itself leaves
//           unordered. torture_test.cc has no such counter.
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace pelikan::storage::segcache {

struct Operation {
  enum class Kind : std::uint8_t { kGet, kSet, kAdd, kReplace, kCas, kIncr, kAppend, kTouch, kErase, kFlush, kTurn };
  //   kDone     a hit; stored; touched; erased; flushed
  //   kMissing  there was no such item
  //   kRefused  add: there is one; cas: another version; incr: not a number
  //   kNoSpace  the heap is full, nothing has changed
  enum class Outcome : std::uint8_t { kDone, kMissing, kRefused, kNoSpace };

  Kind kind = Kind::kGet;
  Outcome outcome = Outcome::kDone;
  unsigned thread = 0;
  std::uint32_t key = 0;        // not for flush and turn
  std::uint32_t now_sec = 0;    // the thread's clock
  std::uint32_t expire_at = 0;  // set, add, replace, cas, touch: asked for; get: shown; 0 = never
  std::uint64_t token = 0;      // cas: asked for
  std::uint64_t cas = 0;        // of the item that was there afterwards; 0: none, or not known
  std::string value = {};  // set, add, replace, cas: the value; append: its end; get: what was shown; incr: the result
  std::uint64_t invoked = 0;
  std::uint64_t responded = 0;
};

inline std::string to_string(const Operation& operation) {
  static constexpr const char* kKinds[] = {"get",    "set",   "add",   "replace", "cas", "incr",
                                           "append", "touch", "erase", "flush",   "turn"};
  static constexpr const char* kOutcomes[] = {"done", "missing", "refused", "no space"};
  if (operation.kind == Operation::Kind::kTurn) {
    return fmt::format("[{}] thread {}: turn at {} s", operation.invoked, operation.thread, operation.now_sec);
  }
  return fmt::format("[{},{}] thread {} at {} s: {} '{}' until {} for token {:x} -> {}, token {:x}", operation.invoked,
                     operation.responded, operation.thread, operation.now_sec,
                     kKinds[std::to_underlying(operation.kind)], operation.value, operation.expire_at, operation.token,
                     kOutcomes[std::to_underlying(operation.outcome)], operation.cas);
}

class Stamps {
 public:
  [[nodiscard]] std::uint64_t next() noexcept { return next_.fetch_add(1); }

 private:
  std::atomic<std::uint64_t> next_{1};
};

// One thread's operations, in order.
class Log {
 public:
  Log(Stamps& stamps, unsigned thread) : stamps_(stamps), thread_(thread) {}

  // What begins now.
  [[nodiscard]] Operation begin(Operation operation) {
    operation.thread = thread_;
    operation.now_sec = now_sec_;
    operation.invoked = stamps_.next();
    return operation;
  }
  // It is over, and `operation` says with which result.
  void end(Operation operation) {
    operation.responded = stamps_.next();
    operations_.push_back(std::move(operation));
  }
  // REQUIRES: the cache has not been told yet.
  void turn(std::uint32_t now_sec) {
    now_sec_ = now_sec;
    Operation operation = begin({.kind = Operation::Kind::kTurn});
    operation.responded = operation.invoked;
    operations_.push_back(std::move(operation));
  }

  [[nodiscard]] const std::vector<Operation>& operations() const noexcept { return operations_; }

 private:
  Stamps& stamps_;
  unsigned thread_;
  std::uint32_t now_sec_ = 0;
  std::vector<Operation> operations_;
};

}  // namespace pelikan::storage::segcache
