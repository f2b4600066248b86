// Bytes as what a client sends. The first chooses the stage, the others are
//   before    the connection's bytes, to a server that wants a certificate
//   hello     changes to the client's part of a handshake
//   data      steps on an established connection (TLS 1.2 or 1.3): data, damaged data, noise, cuts, buffers given back
// Whatever they are: nobody without a certificate comes in, and what the server reads is what the client has sent.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/check.h"
#include "net/tls/tls_test_kit.h"

namespace pelikan::net::tls {
namespace {

struct World {
  World() {
    set_certificate(options, pki.issue(ca, {.name = "server", .san = {"DNS:localhost"}}));
    open = Context::load(options);
    options.ca_file.set(ca.certificate);
    closed = Context::load(options);
    for (const char* version : {"1.2", "1.3"}) {
      ClientOptions client = client_options(ca, version);
      clients[version[2] - '2'] = std::make_unique<ClientContext>(client);
      client.certificate_file = web.certificate;
      client.key_file = web.key;
      clients_with_certificate[version[2] - '2'] = std::make_unique<ClientContext>(client);
    }
  }
  testing::Pki pki;
  testing::Identity ca = pki.authority({.name = "ca"});
  testing::Identity web = pki.issue(ca, {.name = "web"});
  TlsOptions options;
  std::shared_ptr<const Context> open, closed;
  std::unique_ptr<ClientContext> clients[2], clients_with_certificate[2];
};

World& world() {
  static World instance;
  return instance;
}

class Input {
 public:
  explicit Input(std::string_view bytes) : bytes_(bytes) {}
  [[nodiscard]] bool empty() const { return bytes_.empty(); }
  std::uint8_t one() { return empty() ? 0 : static_cast<std::uint8_t>(take(1).front()); }
  std::string_view take(std::size_t size) {
    const std::string_view taken = bytes_.substr(0, size);
    bytes_.remove_prefix(taken.size());
    return taken;
  }

 private:
  std::string_view bytes_;
};

// In pieces, as a network would.
void feed(End& end, std::string_view bytes, std::size_t piece) {
  for (; !bytes.empty() && !end.failed(); bytes.remove_prefix(std::min(piece, bytes.size())))
    end.feed(bytes.substr(0, piece));
  CHECK(end.failed() == (end.cause() != Cause::kNone));
}

void before(Input& input) {
  End server(world().closed->accept());
  feed(server, input.take(1 << 16), std::size_t{1} << 16);
  CHECK(!server.established);
}

void hello(Input& input, int version, bool with_certificate) {
  const auto& clients = with_certificate ? world().clients_with_certificate : world().clients;
  Connection connection(*world().closed, *clients[version]);
  connection.client.feed({});
  for (int flight = 0; flight < 4; ++flight) {
    std::string bytes = connection.client.take();
    for (int changes = input.one() % 4; changes > 0 && !bytes.empty(); --changes) {
      const std::size_t at = input.one() * 256u + input.one();
      bytes[at % bytes.size()] = static_cast<char>(input.one());
    }
    feed(connection.server, bytes, 1 + input.one() * 16u);
    if (connection.client.failed() || connection.server.failed()) break;
    feed(connection.client, connection.server.take(), 1 << 16);
  }
  CHECK(!connection.server.established || (with_certificate && connection.server.session->peer() == "CN:web"));
}

void data(Input& input, int version) {
  Connection connection(*world().open, *world().clients[version]);
  connection.run();
  End &client = connection.client, &server = connection.server;
  CHECK(connection.established());
  std::string sent;
  bool damaged = false;  // then the server may wait for the rest of a record that will never come
  while (!input.empty() && !server.failed() && !client.failed()) {
    const std::uint8_t step = input.one();
    const std::size_t size = input.one();
    const std::size_t piece = 1 + size;
    switch (step % 6) {
      case 0:
      case 1: {
        const std::string text(step % 6 == 0 ? size : size * 256, static_cast<char>('a' + size % 26));
        CHECK(client.session->send(text, client.wire));
        sent += text;
        feed(server, client.take(), step % 6 == 0 ? piece : 1 << 16);
        CHECK(damaged || server.received == sent);
        break;
      }
      case 2: {
        CHECK(client.session->send("damaged", client.wire));
        std::string bytes = client.take();
        bytes[size % bytes.size()] = static_cast<char>(bytes[size % bytes.size()] ^ (1 + input.one() % 255));
        feed(server, bytes, piece);
        damaged = true;
        break;
      }
      case 3:
        damaged = true;
        feed(server, input.take(size), piece);
        break;
      case 4: static_cast<void>(server.session->release_buffers()); break;
      default:
        CHECK(server.session->send("reply", server.wire));
        feed(client, server.take(), piece);
        CHECK(client.received.ends_with("reply"));
        break;
    }
    CHECK(sent.starts_with(server.received));
  }
}

}  // namespace
}  // namespace pelikan::net::tls

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace pelikan::net::tls;
  Input input({reinterpret_cast<const char*>(bytes), size});
  const std::uint8_t choice = input.one();
  const int version = choice / 4 % 2;
  switch (choice % 4) {
    case 0: before(input); break;
    case 1: hello(input, version, choice / 8 % 2 == 1); break;
    default: data(input, version); break;
  }
  return 0;
}
