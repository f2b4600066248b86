// What an idle session costs: the heap that OpenSSL takes for the server's side of a connection, counted to the byte.
#include <gtest/gtest.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <openssl/x509.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "net/tls/tls_test_kit.h"

namespace pelikan::net::tls {
namespace {

using testing::Identity;
using testing::Pki;

constexpr std::size_t kMallocOverhead = 8;  // per block, what malloc keeps beside it

std::atomic<std::size_t> bytes_in_use{0};

std::size_t cost(void* block) { return block == nullptr ? 0 : malloc_usable_size(block) + kMallocOverhead; }

void* count_malloc(std::size_t size, const char*, int) {
  void* block = std::malloc(size);
  bytes_in_use += cost(block);
  return block;
}
void count_free(void* block, const char*, int) {
  bytes_in_use -= cost(block);
  std::free(block);
}
void* count_realloc(void* block, std::size_t size, const char*, int) {
  bytes_in_use -= cost(block);
  void* moved = std::realloc(block, size);
  bytes_in_use += cost(moved == nullptr ? block : moved);
  return moved;
}

// Before OpenSSL takes its first block: later it would refuse.
const bool kCounting = CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free) == 1;

constexpr std::size_t kKiB = 1024;

struct Way {
  const char* version;
  int certificates;  // that the client shows: none, its own, its own and its issuer's
  std::size_t bytes_max;
};
class IdleMemory : public ::testing::TestWithParam<Way> {};

TEST_P(IdleMemory, PerSession) {
  ASSERT_TRUE(kCounting);
  constexpr std::size_t kSessions = 50;
  Pki pki;
  const Identity ca = pki.authority({.name = "ca"});
  const Identity middle = pki.intermediate(ca, {.name = "middle"});
  const Identity web = pki.issue(GetParam().certificates == 1 ? ca : middle,
                                 {.name = "web", .san = {"URI:spiffe://prod/ns/default/sa/web"}});
  TlsOptions options;
  set_certificate(options, pki.issue(ca, {.name = "server", .san = {"DNS:localhost"}}));
  ClientOptions client = client_options(ca, GetParam().version);
  if (GetParam().certificates > 0) {
    options.ca_file.set(ca.certificate);
    client.certificate_file =
        GetParam().certificates == 1 ? web.certificate : pki.bundle("chain", {web.certificate, middle.certificate});
    client.key_file = web.key;
  }
  const auto context = Context::load(options);
  const ClientContext client_context(client);
  std::vector<std::unique_ptr<Connection>> connections;
  for (std::size_t i = 0; i < kSessions; ++i) {
    connections.push_back(std::make_unique<Connection>(*context, client_context));
    Connection& connection = *connections.back();
    connection.run();
    ASSERT_TRUE(connection.established());
    ASSERT_TRUE(connection.client.session->send("get a\r\n", connection.client.wire));
    connection.run();
    ASSERT_TRUE(connection.server.session->send("END\r\n", connection.server.wire));
    connection.run();
  }
  const std::size_t hot = bytes_in_use;
  for (const auto& connection : connections) ASSERT_TRUE(connection->server.session->release_buffers());
  const std::size_t idle = bytes_in_use;
  for (const auto& connection : connections) connection->server.session.reset();
  const std::size_t gone = bytes_in_use;
  std::size_t ours = sizeof(Session) + sizeof(Buffer) + 2 * kMallocOverhead;
  // What Session keeps of them.
  if (GetParam().certificates > 0) ours += static_cast<std::size_t>(i2d_X509(web.x509.get(), nullptr));
  if (GetParam().certificates > 1) ours += static_cast<std::size_t>(i2d_X509(middle.x509.get(), nullptr));
  std::printf("per session: %zu bytes with buffers, %zu without\n", (hot - gone) / kSessions + ours,
              (idle - gone) / kSessions + ours);
  EXPECT_LE((idle - gone) / kSessions + ours, GetParam().bytes_max);
  EXPECT_GT(hot - idle, kSessions * 32 * kKiB);
}

INSTANTIATE_TEST_SUITE_P(, IdleMemory,
                         ::testing::Values(Way{"1.2", 0, 15 * kKiB}, Way{"1.2", 1, 15 * kKiB}, Way{"1.2", 2, 15 * kKiB},
                                           Way{"1.3", 0, 15 * kKiB}, Way{"1.3", 1, 15 * kKiB},
                                           Way{"1.3", 2, 15 * kKiB}),
                         [](const auto& way) {
                           return std::string(way.param.version[2] == '2' ? "v12" : "v13") + "_certificates_" +
                                  std::to_string(way.param.certificates);
                         });

}  // namespace
}  // namespace pelikan::net::tls
