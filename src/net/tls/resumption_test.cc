// Session tickets: when they shorten a handshake, and that they never let in whom a full one would not.
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <array>
#include <memory>

#include "net/tls/admission.h"
#include "net/tls/ticket_keys.h"
#include "net/tls/tls_test_kit.h"

namespace pelikan::net::tls {
namespace {

using testing::Identity;
using testing::kDaySec;
using testing::Pki;

constexpr config::Duration kWeek{7 * 86'400'000};

struct Outcome {
  bool established = false;
  bool resumed = false;
  Cause cause = Cause::kNone;
  std::string peer = {};
  bool operator==(const Outcome&) const = default;
};
void PrintTo(const Outcome& outcome, std::ostream* out) {
  *out << (outcome.established ? "established " : "not established ") << (outcome.resumed ? "resumed " : "in full ")
       << name_of(outcome.cause) << " " << outcome.peer;
}
const Outcome kFull{.established = true, .peer = "CN:web"};
const Outcome kResumed{.established = true, .resumed = true, .peer = "CN:web"};
Outcome refused(Cause cause) { return {.cause = cause}; }

class Resumption : public ::testing::TestWithParam<const char*> {
 protected:
  Resumption() {
    set_certificate(options_, pki_.issue(ca_, {.name = "server", .san = {"DNS:localhost"}}));
    options_.ca_file.set(ca_.certificate);
    options_.ticket_rotation.set(kWeek);
    client_ = client_as(pki_.issue(ca_, {.name = "web", .ends_sec = 100 * kDaySec}));
  }
  std::unique_ptr<ClientContext> client_as(const Identity& identity) {
    ClientOptions options = client_options(ca_, GetParam());
    options.certificate_file = identity.certificate;
    options.key_file = identity.key;
    return std::make_unique<ClientContext>(options);
  }
  Outcome connect(const Context& context) { return connect(context, *client_); }
  static Outcome connect(const Context& context, const ClientContext& client) {
    Connection connection(context, client, true);
    connection.run();
    const End& server = connection.server;
    return {server.established, server.session->resumed(), server.cause(), server.session->peer()};
  }
  [[nodiscard]] std::shared_ptr<const Context> load(const Context* previous = nullptr) const {
    return Context::load(options_, clock_, previous);
  }

  TestClock clock_;
  Pki pki_;
  Identity ca_ = pki_.authority({.name = "ca"});
  TlsOptions options_;
  std::unique_ptr<ClientContext> client_;
};

INSTANTIATE_TEST_SUITE_P(, Resumption, ::testing::Values("1.2", "1.3"),
                         [](const auto& version) { return version.param[2] == '2' ? "v12" : "v13"; });

TEST_P(Resumption, NewestTicketOverAndOver) {
  const auto context = load();
  EXPECT_EQ(connect(*context), kFull);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(connect(*context), kResumed);
}

TEST_P(Resumption, NoTicketsWhenSwitchedOff) {
  options_.ticket_rotation.set(config::Duration{0});
  const auto context = load();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(connect(*context), kFull);
}

TEST_P(Resumption, KeysAreReplacedByAge) {
  options_.ticket_rotation.set(config::Duration{100'000});
  const auto context = load();
  EXPECT_EQ(connect(*context), kFull);
  clock_.advance(99);
  EXPECT_EQ(connect(*context), kResumed);
  clock_.advance(99);  // opened by the key before; the client gets a ticket of the new one
  EXPECT_EQ(connect(*context), kResumed);
  clock_.advance(99);  // of which OpenSSL's client does not tell us in TLS 1.2, so it has the old one still
  EXPECT_EQ(connect(*context), GetParam() == std::string("1.3") ? kResumed : kFull);
  clock_.advance(200);
  EXPECT_EQ(connect(*context), kFull);
}

TEST_P(Resumption, NewServerCertificateKeepsTickets) {
  const auto before = load();
  EXPECT_EQ(connect(*before), kFull);
  set_certificate(options_, pki_.issue(ca_, {.name = "server-2", .san = {"DNS:localhost"}}));
  EXPECT_EQ(connect(*load(before.get())), kResumed);
}

TEST_P(Resumption, AnotherPortKnowsNothing) {
  EXPECT_EQ(connect(*load()), kFull);
  EXPECT_EQ(connect(*load()), kFull);
}

TEST_P(Resumption, VoidAfterEachChangeOfTrust) {
  auto context = load();
  EXPECT_EQ(connect(*context), kFull);
  EXPECT_EQ(connect(*context), kResumed);
  const auto changed = [&] {
    context = load(context.get());
    const Outcome first = connect(*context);
    EXPECT_EQ(connect(*context), kResumed);
    return first;
  };
  options_.crl_file.set(pki_.revocation_list("crl", ca_, {}));
  EXPECT_EQ(changed(), kFull);
  options_.allow.set({"CN:web"});
  EXPECT_EQ(changed(), kFull);
  options_.crl_file.set("");
  options_.ca_file.set(pki_.bundle("cas", {ca_.certificate, pki_.authority({.name = "new"}).certificate}));
  EXPECT_EQ(changed(), kFull);
}

// The keys are new, too, not just the session id context, which voids the tickets just as well.
TEST_P(Resumption, FreshKeysAfterAChangeOfTrust) {
  const auto keys_of = [](const Context& context) { return Admission::of(context.native())->ticket_keys(); };
  const auto before = load();
  set_certificate(options_, pki_.issue(ca_, {.name = "server-2", .san = {"DNS:localhost"}}));
  EXPECT_EQ(keys_of(*before), keys_of(*load(before.get())));
  options_.crl_file.set(pki_.revocation_list("crl", ca_, {}));
  EXPECT_NE(keys_of(*before), keys_of(*load(before.get())));
}

// What a thief or a client on its way out would try: a ticket instead of the certificate that is not good any more.
TEST_P(Resumption, TicketDoesNotReplaceTheCertificate) {
  const Identity leaving = pki_.issue(ca_, {.name = "web"});
  const auto client = client_as(leaving);
  const auto context = load();
  EXPECT_EQ(connect(*context, *client), kFull);
  options_.allow.set({"CN:db"});
  EXPECT_EQ(connect(*load(context.get()), *client), refused(Cause::kNotAllowed));
  options_.allow.set({});
  options_.crl_file.set(pki_.revocation_list("crl", ca_, {leaving}));
  EXPECT_EQ(connect(*load(context.get()), *client), refused(Cause::kRevoked));
  options_.crl_file.set("");
  options_.ca_file.set(pki_.authority({.name = "other"}).certificate);
  EXPECT_EQ(connect(*load(context.get()), *client), refused(Cause::kUnknownIssuer));
}

TEST_P(Resumption, CertificateEndsBeforeItsTicket) {
  const auto client = client_as(pki_.issue(ca_, {.name = "web", .ends_sec = 3600}));
  const auto context = load();
  EXPECT_EQ(connect(*context, *client), kFull);
  clock_.advance(3500);
  EXPECT_EQ(connect(*context, *client), kResumed);
  clock_.advance(200);
  EXPECT_EQ(connect(*context, *client), refused(Cause::kExpired));
}

TEST_P(Resumption, IssuerEndsBeforeItsTicket) {
  const Identity middle = pki_.intermediate(ca_, {.name = "middle", .ends_sec = 3600});
  Identity web = pki_.issue(middle, {.name = "web", .ends_sec = 10 * kDaySec});
  web.certificate = pki_.bundle("chain", {web.certificate, middle.certificate});
  const auto client = client_as(web);
  const auto context = load();
  EXPECT_EQ(connect(*context, *client), kFull);
  EXPECT_EQ(connect(*context, *client), kResumed);  // this ticket is made anew, with the same end
  clock_.advance(3700);
  EXPECT_EQ(connect(*context, *client), refused(Cause::kExpired));
}

TEST_P(Resumption, ListEndsBeforeItsTicket) {
  options_.crl_file.set(pki_.revocation_list("crl", ca_, {}, {.ends_sec = 3600}));
  const auto context = load();
  EXPECT_EQ(connect(*context), kFull);
  EXPECT_EQ(connect(*context), kResumed);
  clock_.advance(3700);
  EXPECT_EQ(connect(*context), refused(Cause::kNoRevocationList));
}

TEST_P(Resumption, ClockSetBack) {
  const auto context = load();
  EXPECT_EQ(connect(*context), kFull);
  clock_.advance(-7200);
  EXPECT_EQ(connect(*context), refused(Cause::kNotYetValid));
}

// A ticket from before client certificates were asked for.
TEST_P(Resumption, TicketWithoutCertificate) {
  const std::string ca_file = options_.ca_file();
  options_.ca_file.set("");
  const auto open = load();
  const ClientContext client(client_options(ca_, GetParam()));
  EXPECT_EQ(connect(*open, client), Outcome{.established = true});
  options_.ca_file.set(ca_file);
  EXPECT_EQ(connect(*load(open.get()), client), refused(Cause::kNoCertificate));
}

// Both sides' certificates are as good as in a full handshake.
TEST_P(Resumption, StillAdmittedAfterResumption) {
  const auto context = load();
  EXPECT_EQ(connect(*context), kFull);
  Connection connection(*context, *client_, true);
  connection.run();
  ASSERT_TRUE(connection.server.session->resumed());
  Failure why;
  EXPECT_TRUE(connection.server.session->still_admitted(*context, why)) << why.text;
  options_.allow.set({"CN:db"});
  EXPECT_FALSE(connection.server.session->still_admitted(*load(), why));
  EXPECT_EQ(why.cause, Cause::kNotAllowed);
}

struct Sealing {
  std::unique_ptr<EVP_CIPHER_CTX, void (*)(EVP_CIPHER_CTX*)> cipher{EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free};
  EVP_MAC* algorithm = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  std::unique_ptr<EVP_MAC_CTX, void (*)(EVP_MAC_CTX*)> mac{EVP_MAC_CTX_new(algorithm), EVP_MAC_CTX_free};
  std::array<unsigned char, TicketKeys::kNameBytes> name{};
  std::array<unsigned char, TicketKeys::kIvBytes> iv{};

  Sealing() = default;
  Sealing(const Sealing&) = delete;
  Sealing& operator=(const Sealing&) = delete;
  ~Sealing() { EVP_MAC_free(algorithm); }
  bool seal(TicketKeys& keys) { return keys.seal(name.data(), iv.data(), cipher.get(), mac.get()); }
  TicketKeys::Opened open(TicketKeys& keys) { return keys.open(name.data(), iv.data(), cipher.get(), mac.get()); }
};

TEST(TicketKeysTest, AgesOfAKey) {
  using Opened = TicketKeys::Opened;
  TestClock clock;
  TicketKeys keys(config::Duration{100'000}, clock);
  Sealing first, second, later;
  ASSERT_TRUE(first.seal(keys));
  ASSERT_TRUE(second.seal(keys));
  EXPECT_EQ(first.name, second.name);
  EXPECT_NE(first.iv, second.iv);
  EXPECT_EQ(first.open(keys), Opened::kYes);
  clock.advance(101);
  EXPECT_EQ(first.open(keys), Opened::kYesByOldKey);
  ASSERT_TRUE(later.seal(keys));
  EXPECT_NE(first.name, later.name);
  clock.advance(98);
  EXPECT_EQ(first.open(keys), Opened::kYesByOldKey);
  EXPECT_EQ(later.open(keys), Opened::kYes);
  clock.advance(2);
  EXPECT_EQ(first.open(keys), Opened::kNo);
  EXPECT_EQ(later.open(keys), Opened::kYesByOldKey);
  clock.advance(1000);  // nobody came for long
  EXPECT_EQ(later.open(keys), Opened::kNo);
}

// Looked for in the object's own bytes: the secrets lie behind the name, which the ticket shows.
TEST(TicketKeysTest, AnExpiredKeyIsWiped) {
  constexpr std::size_t kSecretBytes = 64;
  TestClock clock;
  TicketKeys keys(config::Duration{100'000}, clock);
  const std::string_view memory(reinterpret_cast<const char*>(&keys), sizeof keys);
  const auto secret_of = [&](const Sealing& ticket) {
    const std::string_view name(reinterpret_cast<const char*>(ticket.name.data()), ticket.name.size());
    return std::string(memory.substr(memory.find(name) + name.size(), kSecretBytes));
  };
  Sealing first, second;
  ASSERT_TRUE(first.seal(keys));
  const std::string first_secret = secret_of(first);
  clock.advance(150);
  ASSERT_TRUE(second.seal(keys));
  const std::string second_secret = secret_of(second);
  for (const std::string& secret : {first_secret, second_secret}) {
    ASSERT_EQ(secret.size(), kSecretBytes);
    EXPECT_TRUE(memory.contains(secret)) << "still needed";
  }
  clock.advance(60);
  EXPECT_EQ(first.open(keys), TicketKeys::Opened::kNo);
  EXPECT_FALSE(memory.contains(first_secret));
  EXPECT_TRUE(memory.contains(second_secret)) << "still needed";
  clock.advance(200);
  EXPECT_EQ(second.open(keys), TicketKeys::Opened::kNo);
  EXPECT_FALSE(memory.contains(second_secret));
}

TEST(TicketKeysTest, UnknownName) {
  TestClock clock;
  TicketKeys keys(config::Duration{100'000}, clock), others(config::Duration{100'000}, clock);
  Sealing ticket;
  EXPECT_EQ(ticket.open(keys), TicketKeys::Opened::kNo);
  ASSERT_TRUE(ticket.seal(others));
  EXPECT_EQ(ticket.open(keys), TicketKeys::Opened::kNo);
}

}  // namespace
}  // namespace pelikan::net::tls
