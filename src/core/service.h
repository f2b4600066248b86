// What a server does with the bytes of its sessions, with the types hidden: core is written once, not once per
// protocol. One virtual call is made per receive and two per loop turn; everything per request is inside serve() and is
// inlined there.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "base/clock.h"
#include "core/batch.h"
#include "protocol/serve.h"

namespace pelikan::core {

// The protocol state of one session. What is in it the services know, which are all of one type: a session that moves
// takes it to the service of its new worker.
// Owner: the session.
class Conversation {
 public:
  virtual ~Conversation() = default;
};

// One per thread that executes requests.
// Owner:   Process. Threads: start(), collect() and refusal() on any; the rest on that thread.
// A turn:  rest(), the thread waits, turn(), requests; so the storage knows who may hold something of it.
class Service {
 public:
  virtual ~Service() = default;
  [[nodiscard]] virtual std::unique_ptr<Conversation> start() const = 0;
  virtual ServeResult serve(Conversation& conversation, std::string_view bytes, Buffer& out,
                            const ServeLimits& limits) = 0;
  // The two halves of that, for a storage with a thread of its own: the worker parses ...
  virtual ServeResult collect(Conversation& conversation, std::string_view bytes, Buffer& requests,
                              const ServeLimits& limits) const = 0;
  // ... and the storage thread executes as much as `limits` allow; adds to `outcome` and `executed`.
  virtual void execute(Batch& batch, const ServeLimits& limits) = 0;
  // Before any request of a loop turn.
  virtual void turn(const Time& now) = 0;
  // The thread may sleep now, or ends: it executes nothing before its next turn().
  virtual void rest() = 0;
  // What a connection over the limit is told before it is closed.
  [[nodiscard]] virtual std::string_view refusal() const = 0;
};

// How a process gets its services.
// Owner: the server's main. Threads: make() before any other thread runs.
struct Services {
  // May each worker have its own, all on the same storage? Else one thread executes everything.
  bool thread_safe = false;
  // The first is for whom Process::post_to_storage() posts to.
  std::function<std::unique_ptr<Service>()> make;
};

// A storage that is to know when its thread's turns begin and end has turn(now) and rest(), or one of them.
template <Protocol P, StorageFor<P> S>
class ServiceFor final : public Service {
 public:
  // Each session starts with a copy of `fresh`.
  explicit ServiceFor(S& storage, P fresh = {}) noexcept : storage_(storage), fresh_(fresh) {}

  [[nodiscard]] std::unique_ptr<Conversation> start() const override { return std::make_unique<Talk>(fresh_); }
  ServeResult serve(Conversation& conversation, std::string_view bytes, Buffer& out,
                    const ServeLimits& limits) override {
    return pelikan::serve(protocol_of(conversation), storage_, bytes, out, limits);
  }
  ServeResult collect(Conversation& conversation, std::string_view bytes, Buffer& requests,
                      const ServeLimits& limits) const override {
    return pelikan::collect(protocol_of(conversation), bytes, requests, limits);
  }
  void execute(Batch& batch, const ServeLimits& limits) override {
    const ServeResult result = pelikan::execute_all<P>(storage_, batch.requests, batch.output, limits);
    batch.executed += result.requests;
    batch.outcome = result.status;
  }
  void turn(const Time& now) override {
    if constexpr (requires { storage_.turn(now); }) storage_.turn(now);
  }
  void rest() override {
    if constexpr (requires { storage_.rest(); }) storage_.rest();
  }
  [[nodiscard]] std::string_view refusal() const override { return "ERROR Too many open connections\r\n"; }

 private:
  struct Talk final : Conversation {
    explicit Talk(const P& fresh) noexcept : protocol(fresh) {}
    [[no_unique_address]] P protocol;
  };
  [[nodiscard]] static P& protocol_of(Conversation& conversation) noexcept {
    return static_cast<Talk&>(conversation).protocol;
  }

  S& storage_;
  [[no_unique_address]] P fresh_;
};

}  // namespace pelikan::core
