// Both ends of connections in memory, on one thread: what TLS costs without sockets. Times are of client and server
// together, unless the name says that only the server's part is timed.
#include <benchmark/benchmark.h>

#include <chrono>
#include <memory>
#include <string>

#include "base/check.h"
#include "net/tls/tls_test_kit.h"

namespace pelikan::net::tls {
namespace {

constexpr const char* kVersions[] = {"1.2", "1.3"};

struct World {
  explicit World(const char* version, bool rsa = false, bool mutual = false) {
    set_certificate(options, pki.issue(ca, {.name = "server", .san = {"DNS:localhost"}, .rsa = rsa}));
    ClientOptions client = client_options(ca, version);
    if (mutual) {
      const testing::Identity web = pki.issue(ca, {.name = "web"});
      options.ca_file.set(ca.certificate);
      client.certificate_file = web.certificate;
      client.key_file = web.key;
    }
    context = Context::load(options);
    client_context = std::make_unique<ClientContext>(client);
  }
  testing::Pki pki;
  testing::Identity ca = pki.authority({.name = "ca"});
  TlsOptions options;
  std::shared_ptr<const Context> context;
  std::unique_ptr<ClientContext> client_context;
};

// Arguments: TLS 1.2 or 1.3, resumed, RSA, client certificate.
void handshake(benchmark::State& state) {
  const World world(kVersions[state.range(0)], state.range(2) == 1, state.range(3) == 1);
  const bool resume = state.range(1) == 1;
  Connection(*world.context, *world.client_context).run();
  for (auto _ : state) {
    Connection connection(*world.context, *world.client_context, resume);
    connection.run();
    CHECK(connection.established() && connection.server.session->resumed() == resume);
  }
}
BENCHMARK(handshake)
    ->ArgNames({"v13", "resumed", "rsa", "mutual"})
    ->Args({0, 0, 0, 0})
    ->Args({0, 1, 0, 0})
    ->Args({1, 0, 0, 0})
    ->Args({1, 1, 0, 0})
    ->Args({1, 0, 1, 0})
    ->Args({1, 0, 0, 1})
    ->Args({1, 1, 0, 1});

// The server's part of a request of 48 bytes and a reply of 100: receive, send.
void request(benchmark::State& state) {
  const World world(kVersions[state.range(0)]);
  Connection connection(*world.context, *world.client_context);
  connection.run();
  End& server = connection.server;
  const std::string question(48, 'q'), answer(100, 'a');
  for (auto _ : state) {
    CHECK(connection.client.session->send(question, connection.client.wire));
    const std::string bytes = connection.client.take();
    std::string_view left = bytes, plain;
    const auto start = std::chrono::steady_clock::now();
    CHECK(server.session->receive(left, server.scratch, plain, server.wire) == Session::Progress::kMore);
    CHECK(server.session->send(answer, server.wire));
    state.SetIterationTime(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    CHECK(plain.size() == question.size());
    connection.client.feed(server.take());
    connection.client.received.clear();
  }
}
BENCHMARK(request)->ArgNames({"v13"})->Arg(0)->Arg(1)->UseManualTime();

// Sixteen replies of 100 bytes, in so many sends.
void replies(benchmark::State& state) {
  const World world(kVersions[state.range(0)]);
  Connection connection(*world.context, *world.client_context);
  connection.run();
  End& server = connection.server;
  const auto sends = static_cast<std::size_t>(state.range(1));
  const std::string text(1600 / sends, 'a');
  for (auto _ : state) {
    for (std::size_t i = 0; i < sends; ++i) CHECK(server.session->send(text, server.wire));
    server.wire.clear();
  }
  state.SetItemsProcessed(state.iterations() * 16);
}
BENCHMARK(replies)->ArgNames({"v13", "sends"})->Args({0, 1})->Args({0, 16})->Args({1, 1})->Args({1, 16});

// What a change of trust costs for each live connection.
void still_admitted(benchmark::State& state) {
  const World world("1.3", false, true);
  Connection connection(*world.context, *world.client_context);
  connection.run();
  Failure why;
  for (auto _ : state) CHECK(connection.server.session->still_admitted(*world.context, why));
}
BENCHMARK(still_admitted);

}  // namespace
}  // namespace pelikan::net::tls
