// pelikan-pingserver: answers PING with PONG. The tutorial, and the measure of what the framework costs.
#include "backend/ping/noop.h"
#include "core/service.h"
#include "protocol/ping/ping.h"
#include "server/launch.h"

int main(int argc, char** argv) {
  using namespace pelikan;
  backend::ping::Noop storage;
  return server::launch(
      argc, argv, "pelikan-pingserver", "answers PING with PONG", {}, [&](const server::Surroundings&) {
        return server::Application{
            .services = {.thread_safe = true, .make = [&] {
                           return std::make_unique<core::ServiceFor<protocol::ping::Protocol, backend::ping::Noop>>(
                               storage);
                         }}};
      });
}
