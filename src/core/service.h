// What a server does with the bytes of its sessions, with the types hidden: core is written once, not once per
// protocol. One virtual call is made per receive and one per loop turn; everything per request is inside serve() and is
// inlined there.
#pragma once

#include <memory>
#include <string_view>

#include "base/clock.h"
#include "protocol/serve.h"

namespace pelikan::core {

// The protocol state of one session. Owner: the session.
class Conversation {
 public:
  virtual ~Conversation() = default;
  virtual ServeResult serve(std::string_view bytes, Buffer& out, const ServeLimits& limits) = 0;
};

// Owner: the server's main. Threads: called on the worker that owns the storage.
class Service {
 public:
  virtual ~Service() = default;
  [[nodiscard]] virtual std::unique_ptr<Conversation> start() = 0;
  // Once per loop turn, before any request of that turn.
  virtual void turn(const Time& now) = 0;
  // What a connection over the limit is told before it is closed.
  [[nodiscard]] virtual std::string_view refusal() const = 0;
};

template <Protocol P, StorageFor<P> S>
class ServiceFor final : public Service {
 public:
  // Each session starts with a copy of `fresh`.
  explicit ServiceFor(S& storage, P fresh = {}) noexcept : storage_(storage), fresh_(fresh) {}

  [[nodiscard]] std::unique_ptr<Conversation> start() override { return std::make_unique<Talk>(storage_, fresh_); }
  void turn(const Time& now) override {
    if constexpr (requires { storage_.turn(now); }) storage_.turn(now);
  }
  [[nodiscard]] std::string_view refusal() const override { return "ERROR Too many open connections\r\n"; }

 private:
  struct Talk final : Conversation {
    Talk(S& s, const P& fresh) noexcept : storage(s), protocol(fresh) {}
    ServeResult serve(std::string_view bytes, Buffer& out, const ServeLimits& limits) override {
      return pelikan::serve(protocol, storage, bytes, out, limits);
    }
    S& storage;
    [[no_unique_address]] P protocol;
  };
  S& storage_;
  [[no_unique_address]] P fresh_;
};

}  // namespace pelikan::core
