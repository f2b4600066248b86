// A client's Session and a server's, wired to each other in memory; for tests.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/buffer.h"
#include "base/clock.h"
#include "net/tls/context.h"
#include "net/tls/failure.h"
#include "net/tls/session.h"
#include "testing/pki/pki.h"

namespace pelikan::net::tls {

// The machine's time until a test moves it.
class TestClock final : public Clock {
 public:
  [[nodiscard]] Time now() const noexcept override {
    Time time = machine_.now();
    time.unix_sec += ahead_sec_;
    time.mono_ns += mono_ahead_sec_ * kNanosPerSecond;
    return time;
  }
  void advance(std::int64_t seconds) noexcept {
    ahead_sec_ += seconds;
    if (seconds > 0) mono_ahead_sec_ += static_cast<std::uint64_t>(seconds);
  }

 private:
  SystemClock machine_;
  std::int64_t ahead_sec_ = 0;
  std::uint64_t mono_ahead_sec_ = 0;  // never steps back
};

// "plain_text", "not_allowed": what an expectation that fails prints.
inline std::string_view name_of(Cause cause) noexcept {
  switch (cause) {
    case Cause::kNone: return "none";
    case Cause::kPlainText: return "plain_text";
    case Cause::kProtocol: return "protocol";
    case Cause::kNoCommonWays: return "no_common_ways";
    case Cause::kNoCertificate: return "no_certificate";
    case Cause::kUnknownIssuer: return "unknown_issuer";
    case Cause::kExpired: return "expired";
    case Cause::kNotYetValid: return "not_yet_valid";
    case Cause::kRevoked: return "revoked";
    case Cause::kNoRevocationList: return "no_revocation_list";
    case Cause::kNotAllowed: return "not_allowed";
    case Cause::kBadCertificate: return "bad_certificate";
    case Cause::kRenegotiation: return "renegotiation";
    case Cause::kPeerAlert: return "peer_alert";
    case Cause::kResources: return "resources";
  }
  return "";
}

// One end: its Session, what it wants to send, and what it has received.
struct End {
  explicit End(std::unique_ptr<Session> made) : session(std::move(made)) {}

  // Gives the session ciphertext: to the handshake, then as data. At most one of the last two is not kMore.
  void feed(std::string_view bytes) {
    while (progress != Session::Progress::kFailed) {
      if (!established) {
        progress = session->handshake(bytes, wire);
        if (progress != Session::Progress::kDone) return;
        established = true;
      }
      std::string_view plain;
      progress = session->receive(bytes, scratch, plain, wire);
      received += plain;
      if (progress == Session::Progress::kDone) finished = true;
      if (progress != Session::Progress::kMore || plain.empty()) return;
    }
  }
  [[nodiscard]] std::string take() {
    std::string bytes(wire.view());
    wire.clear();
    return bytes;
  }
  [[nodiscard]] bool failed() const { return progress == Session::Progress::kFailed; }
  [[nodiscard]] Cause cause() const { return session->failure().cause; }
  [[nodiscard]] const std::string& why() const { return session->failure().text; }

  BufferPool pool{std::size_t{64} << 20};
  Buffer wire{pool};
  std::unique_ptr<Session> session;
  std::array<char, Session::kPlainBytesMax> scratch{};
  std::string received;
  Session::Progress progress = Session::Progress::kMore;
  bool established = false;
  bool finished = false;  // the peer has said that it sends no more
};

struct Connection {
  Connection(const Context& context, const ClientContext& client_context, bool resume = false,
             const std::string& name = "localhost")
      : server(context.accept()), client(client_context.connect(name, resume)) {}

  // Carries bytes both ways, `step` at a time, until neither end has anything to say.
  void run(std::size_t step = 1 << 20) {
    if (!client.established && !client.failed()) client.feed({});
    for (;;) {
      const std::string to_server = client.take(), to_client = server.take();
      if (to_server.empty() && to_client.empty()) return;
      for (std::size_t at = 0; at < to_server.size(); at += step)
        server.feed(std::string_view(to_server).substr(at, step));
      for (std::size_t at = 0; at < to_client.size(); at += step)
        client.feed(std::string_view(to_client).substr(at, step));
    }
  }
  [[nodiscard]] bool established() const {
    return server.established && client.established && !server.failed() && !client.failed();
  }

  End server, client;
};

inline void set_certificate(TlsOptions& options, const testing::Identity& identity) {
  options.certificate.set(identity.certificate);
  options.private_key.set(identity.key);
}

inline ClientOptions client_options(const testing::Identity& server_ca, const char* version) {
  ClientOptions options;
  options.ca_file = server_ca.certificate;
  options.min_version = options.max_version = version;
  return options;
}

}  // namespace pelikan::net::tls
