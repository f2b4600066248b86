// What a server does with the bytes of its sessions, with the types hidden: core is written once, not once per
// protocol. One virtual call is made per receive and one per loop turn; everything per request is inside serve() and is
// inlined there.
#pragma once

#include <memory>
#include <string_view>

#include "base/clock.h"
#include "core/batch.h"
#include "protocol/serve.h"

namespace pelikan::core {

// The protocol state of one session. Owner: the session.
class Conversation {
 public:
  virtual ~Conversation() = default;
  virtual ServeResult serve(std::string_view bytes, Buffer& out, const ServeLimits& limits) = 0;
  // For a storage that another thread owns: parses only.
  virtual ServeResult collect(std::string_view bytes, Buffer& requests, const ServeLimits& limits) = 0;
};

// Owner: the server's main. Threads: start() and make_batch() on any; turn() where requests are executed.
class Service {
 public:
  virtual ~Service() = default;
  [[nodiscard]] virtual std::unique_ptr<Conversation> start() const = 0;
  [[nodiscard]] virtual std::unique_ptr<Batch> make_batch(BufferPool& pool) const = 0;
  // Once per loop turn, before any request of that turn.
  virtual void turn(const Time& now) = 0;
  // May several threads execute requests at once?
  [[nodiscard]] virtual bool thread_safe() const = 0;
  // What a connection over the limit is told before it is closed.
  [[nodiscard]] virtual std::string_view refusal() const = 0;
};

// A storage says `static constexpr bool kThreadSafe = true` when any number of threads may call it.
template <Protocol P, StorageFor<P> S>
class ServiceFor final : public Service {
 public:
  // Each session starts with a copy of `fresh`.
  explicit ServiceFor(S& storage, P fresh = {}) noexcept : storage_(storage), fresh_(fresh) {}

  [[nodiscard]] std::unique_ptr<Conversation> start() const override {
    return std::make_unique<Talk>(storage_, fresh_);
  }
  [[nodiscard]] std::unique_ptr<Batch> make_batch(BufferPool& pool) const override {
    return std::make_unique<Requests>(storage_, pool);
  }
  void turn(const Time& now) override {
    if constexpr (requires { storage_.turn(now); }) storage_.turn(now);
  }
  [[nodiscard]] bool thread_safe() const override {
    if constexpr (requires { S::kThreadSafe; }) return S::kThreadSafe;
    return false;
  }
  [[nodiscard]] std::string_view refusal() const override { return "ERROR Too many open connections\r\n"; }

 private:
  struct Talk final : Conversation {
    Talk(S& s, const P& fresh) noexcept : storage(s), protocol(fresh) {}
    ServeResult serve(std::string_view bytes, Buffer& out, const ServeLimits& limits) override {
      return pelikan::serve(protocol, storage, bytes, out, limits);
    }
    ServeResult collect(std::string_view bytes, Buffer& requests, const ServeLimits& limits) override {
      return pelikan::collect(protocol, bytes, requests, limits);
    }
    S& storage;
    [[no_unique_address]] P protocol;
  };
  struct Requests final : Batch {
    Requests(S& s, BufferPool& pool) : Batch(pool), storage(s) {}
    void execute(const ServeLimits& limits) override {
      const ServeResult result = pelikan::execute_all<P>(storage, requests, output, limits);
      executed += result.requests;
      outcome = result.status;
    }
    S& storage;
  };
  S& storage_;
  [[no_unique_address]] P fresh_;
};

}  // namespace pelikan::core
