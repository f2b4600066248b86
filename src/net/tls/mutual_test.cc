// Which clients come in: each kind of wrong certificate, the right ones, and what an attacker would try.
#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "net/tls/tls_test_kit.h"

namespace pelikan::net::tls {
namespace {

using testing::Identity;
using testing::kDaySec;
using testing::Pki;

// One authority with an intermediate, another that nobody trusts, and a server that wants certificates of the first.
struct World {
  World() {
    set_certificate(options, server);
    options.ca_file.set(pki.bundle("cas", {ca.certificate, middle.certificate}));
  }
  void revoke(const std::vector<Identity>& by_ca, const std::vector<Identity>& by_middle = {}) {
    const std::string lists[] = {pki.revocation_list("ca.crl", ca, by_ca),
                                 pki.revocation_list("middle.crl", middle, by_middle)};
    options.crl_file.set(pki.bundle("crls", {lists[0], lists[1]}));
  }
  [[nodiscard]] ClientOptions client(const char* version) const { return client_options(ca, version); }
  [[nodiscard]] ClientOptions client(const char* version, const Identity& identity) const {
    ClientOptions made = client(version);
    made.certificate_file = identity.certificate;
    made.key_file = identity.key;
    return made;
  }

  Pki pki;
  Identity ca = pki.authority({.name = "ca"});
  Identity middle = pki.intermediate(ca, {.name = "middle"});
  Identity stranger = pki.authority({.name = "stranger"});
  Identity server = pki.issue(ca, {.name = "server", .san = {"DNS:localhost"}});
  TlsOptions options;
};

// The server refuses the client for `cause`, in a sentence that has `words`, and tells it with an alert.
void expect_refused(const Context& context, const ClientOptions& options, Cause cause, const std::string& words) {
  for (const std::size_t step : {std::size_t{1} << 20, std::size_t{1}}) {
    const ClientContext client_context(options);
    Connection connection(context, client_context);
    connection.run(step);
    EXPECT_TRUE(connection.server.failed());
    EXPECT_FALSE(connection.server.established);
    EXPECT_EQ(name_of(connection.server.cause()), name_of(cause)) << connection.server.why();
    EXPECT_NE(connection.server.why().find(words), std::string::npos) << connection.server.why();
    EXPECT_TRUE(connection.client.failed());
    EXPECT_EQ(connection.client.cause(), Cause::kPeerAlert) << connection.client.why();
  }
}

void expect_admitted(const Context& context, const ClientOptions& options, const std::string& peer) {
  const ClientContext client_context(options);
  Connection connection(context, client_context);
  connection.run();
  EXPECT_TRUE(connection.established()) << connection.server.why() << connection.client.why();
  EXPECT_EQ(connection.server.session->peer(), peer);
}

class Mutual : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(, Mutual, ::testing::Values("1.2", "1.3"),
                         [](const auto& version) { return version.param[2] == '2' ? "v12" : "v13"; });

TEST_P(Mutual, Matrix) {
  World world;
  Pki& pki = world.pki;
  const Identity right = pki.issue(world.ca, {.name = "right", .san = {"URI:spiffe://prod/web"}});
  const Identity by_middle = pki.issue(world.middle, {.name = "by-middle", .san = {"URI:spiffe://prod/mid"}});
  const Identity other = pki.issue(world.ca, {.name = "other", .san = {"URI:spiffe://dev/web"}});
  const Identity gone = pki.issue(world.ca, {.name = "gone", .san = {"URI:spiffe://prod/gone"}});
  const Identity gone_too = pki.issue(world.middle, {.name = "gone-too", .san = {"URI:spiffe://prod/gone-too"}});
  const Identity late = pki.issue(
      world.ca, {.name = "late", .san = {"URI:spiffe://prod/late"}, .begins_sec = -2 * kDaySec, .ends_sec = -60});
  const Identity early = pki.issue(world.ca, {.name = "early", .san = {"URI:spiffe://prod/early"}, .begins_sec = 60});
  const Identity foreign = pki.issue(world.stranger, {.name = "foreign", .san = {"URI:spiffe://prod/web"}});
  const Identity alone = pki.self_signed({.name = "alone", .san = {"URI:spiffe://prod/web"}});
  const Identity server_only =
      pki.issue(world.ca, {.name = "server-only", .san = {"URI:spiffe://prod/web"}, .usage = "serverAuth"});
  world.revoke({gone}, {gone_too});
  world.options.allow.set({"URI:spiffe://prod/*"});
  const auto context = Context::load(world.options);
  const auto refused = [&](const Identity& identity, Cause cause, const std::string& words) {
    SCOPED_TRACE(identity.certificate);
    expect_refused(*context, world.client(GetParam(), identity), cause, words);
  };

  expect_refused(*context, world.client(GetParam()), Cause::kNoCertificate, "the client sent no certificate");
  refused(other, Cause::kNotAllowed, "URI:spiffe://dev/web: no name in it is on the allow-list");
  refused(gone, Cause::kRevoked, "URI:spiffe://prod/gone");
  refused(gone_too, Cause::kRevoked, "URI:spiffe://prod/gone-too");
  refused(late, Cause::kExpired, "URI:spiffe://prod/late");
  refused(early, Cause::kNotYetValid, "URI:spiffe://prod/early");
  refused(foreign, Cause::kUnknownIssuer, "URI:spiffe://prod/web");
  refused(alone, Cause::kUnknownIssuer, "URI:spiffe://prod/web");
  refused(server_only, Cause::kBadCertificate, "URI:spiffe://prod/web");
  expect_admitted(*context, world.client(GetParam(), right), "URI:spiffe://prod/web");
  expect_admitted(*context, world.client(GetParam(), by_middle), "URI:spiffe://prod/mid");
}

TEST_P(Mutual, IntermediateThatOnlyTheClientSends) {
  World world;
  const Identity web = world.pki.issue(world.middle, {.name = "web", .san = {"DNS:web.example"}});
  world.options.ca_file.set(world.ca.certificate);
  const auto context = Context::load(world.options);
  ClientOptions options = world.client(GetParam(), web);
  expect_refused(*context, options, Cause::kUnknownIssuer, "DNS:web.example");
  options.certificate_file = world.pki.bundle("chain", {web.certificate, world.middle.certificate});
  expect_admitted(*context, options, "DNS:web.example");
  // The same chain, but the intermediate has been revoked, or no list of it is there: nobody can say if `web` is good.
  world.options.crl_file.set(world.pki.revocation_list("root.crl", world.ca, {world.middle}));
  expect_refused(*Context::load(world.options), options, Cause::kNoRevocationList, "DNS:web.example");
  world.options.ca_file.set(world.pki.bundle("cas", {world.ca.certificate, world.middle.certificate}));
  world.revoke({world.middle});
  expect_refused(*Context::load(world.options), options, Cause::kRevoked, "its issuer CN:middle");
}

// A leaf that signs another leaf, as if it were an authority.
TEST_P(Mutual, LeafIsNoAuthority) {
  World world;
  const Identity web = world.pki.issue(world.ca, {.name = "web"});
  const Identity forged = world.pki.issue(web, {.name = "admin"});
  ClientOptions options = world.client(GetParam(), forged);
  options.certificate_file = world.pki.bundle("chain", {forged.certificate, web.certificate});
  expect_refused(*Context::load(world.options), options, Cause::kBadCertificate, "CN:admin");
}

TEST_P(Mutual, SameNameAnotherKey) {
  World world;
  const Identity impostor = world.pki.authority({.name = "impostor", .cn = "ca"});
  const Identity web = world.pki.issue(impostor, {.name = "web"});
  const ClientContext client_context(world.client(GetParam(), web));
  const auto context = Context::load(world.options);
  Connection connection(*context, client_context);
  connection.run();
  EXPECT_TRUE(connection.server.failed());
  EXPECT_FALSE(connection.server.established);
}

TEST_P(Mutual, NameConstraintsOfAnAuthority) {
  World world;
  const Identity web_ca = world.pki.authority(
      {.name = "web-ca", .name_constraints = "critical,permitted;DNS:.web.example,permitted;URI:.web.example"});
  world.options.ca_file.set(world.pki.bundle("cas", {world.ca.certificate, web_ca.certificate}));
  const auto context = Context::load(world.options);
  expect_admitted(*context,
                  world.client(GetParam(), world.pki.issue(web_ca, {.name = "in", .san = {"DNS:a.web.example"}})),
                  "DNS:a.web.example");
  expect_refused(*context,
                 world.client(GetParam(), world.pki.issue(web_ca, {.name = "out", .san = {"DNS:db.example"}})),
                 Cause::kBadCertificate, "DNS:db.example");
  expect_refused(*context,
                 world.client(GetParam(), world.pki.issue(web_ca, {.name = "u", .san = {"URI:https://db.example/"}})),
                 Cause::kBadCertificate, "URI:https://db.example/");
}

// Names that look like an allowed one to code that stops at a NUL, or that break lines and terminals.
TEST_P(Mutual, NamesWithStrangeBytes) {
  World world;
  world.options.allow.set(
      {"DNS:web.example", "URI:spiffe://prod/**", "CN:*web*", "IP:10.0.0.7", "EMAIL:a@web.example"});
  const auto context = Context::load(world.options);
  const std::string nul(1, '\0');
  const std::vector<testing::Wanted> tries = {
      {.name = "a", .san = {"DNS:web.example" + nul + ".evil.example"}},
      {.name = "b", .san = {"URI:spiffe://prod/" + nul}},
      {.name = "c", .san = {"URI:spiffe://prod/x\nadmitted: yes"}},
      {.name = "d", .cn = "web" + nul},
      {.name = "e", .cn = "web" + nul + "evil"},
      {.name = "f", .san = {"EMAIL:a@web.example" + nul}},
      {.name = "g", .san = {std::string("IPRAW:\x0a\x00\x00\x07\x00", 11)}},  // five bytes
      {.name = "h", .san = {std::string("IPRAW:\x0a\x00\x00", 9)}},
      {.name = "i", .san = {"DNS:", "URI:", "EMAIL:", "IPRAW:"}},
      {.name = "j", .san = {"URI:spiffe://prod/" + std::string(2000, 'x')}},
      {.name = "k", .cn = "\x1b[2Jweb"},
      {.name = "l", .san = {"DNS:web.example."}},
      {.name = "m", .san = {"DNS:web\xc3\xa9.example"}},
  };
  for (const testing::Wanted& wanted : tries) {
    SCOPED_TRACE(wanted.name);
    const ClientContext client_context(world.client(GetParam(), world.pki.issue(world.ca, wanted)));
    Connection connection(*context, client_context);
    connection.run();
    EXPECT_EQ(name_of(connection.server.cause()), name_of(Cause::kNotAllowed)) << connection.server.why();
    for (const char c : connection.server.why()) EXPECT_FALSE(static_cast<unsigned char>(c) < 0x20 || c == 0x7f);
    EXPECT_LT(connection.server.why().size(), 400u);
  }
}

TEST_P(Mutual, PeerIsTheNameThatLetItIn) {
  World world;
  const Identity web =
      world.pki.issue(world.ca, {.name = "web", .san = {"DNS:a.example", "URI:spiffe://prod/web", "IP:10.0.0.7"}});
  const auto peer_with = [&](config::List allow) {
    world.options.allow.set(std::move(allow));
    const auto context = Context::load(world.options);
    const ClientContext client_context(world.client(GetParam(), web));
    Connection connection(*context, client_context);
    connection.run();
    return connection.server.session->peer();
  };
  EXPECT_EQ(peer_with({}), "URI:spiffe://prod/web");
  EXPECT_EQ(peer_with({"CN:w*"}), "CN:web");
  EXPECT_EQ(peer_with({"IP:10.0.0.?"}), "IP:10.0.0.7");
  EXPECT_EQ(peer_with({"DNS:*.example", "CN:web"}), "DNS:a.example");
  EXPECT_EQ(peer_with({"DNS:web", "CN:a.example"}), "");
}

TEST(MutualChain, TooLong) {
  World world;
  std::vector<std::string> chain;
  Identity issuer = world.ca;
  for (int i = 0; i < 12; ++i) {
    issuer = world.pki.intermediate(issuer, {.name = "m" + std::to_string(i)});
    chain.insert(chain.begin(), issuer.certificate);
  }
  const Identity web = world.pki.issue(issuer, {.name = "web"});
  chain.insert(chain.begin(), web.certificate);
  ClientOptions options = world.client("1.3", web);
  options.certificate_file = world.pki.bundle("chain", chain);
  const ClientContext client_context(options);
  const auto context = Context::load(world.options);
  Connection connection(*context, client_context);
  connection.run();
  EXPECT_FALSE(connection.server.established);
}

// A list that grows old while the server runs ends all admission, by full handshake and by ticket.
TEST_P(Mutual, ListGrowsOld) {
  World world;
  TestClock clock;
  const Identity web = world.pki.issue(world.ca, {.name = "web", .ends_sec = 10 * kDaySec});
  world.revoke({});
  const auto context = Context::load(world.options, clock);
  const ClientContext client_context(world.client(GetParam(), web));
  for (const bool resume : {false, true}) {
    Connection connection(*context, client_context, resume);
    connection.run();
    ASSERT_TRUE(connection.established());
    EXPECT_EQ(connection.server.session->resumed(), resume);
  }
  clock.advance(kDaySec + 60);
  for (const bool resume : {false, true}) {
    Connection connection(*context, client_context, resume);
    connection.run();
    EXPECT_EQ(name_of(connection.server.cause()), name_of(Cause::kNoRevocationList)) << connection.server.why();
  }
}

TEST_P(Mutual, StillAdmitted) {
  World world;
  const Identity web = world.pki.issue(world.ca, {.name = "web"});
  const Identity mid = world.pki.issue(world.middle, {.name = "mid"});
  world.revoke({});
  const auto context = Context::load(world.options);
  ClientOptions mid_options = world.client(GetParam(), mid);
  mid_options.certificate_file = world.pki.bundle("chain", {mid.certificate, world.middle.certificate});
  const ClientContext web_context(world.client(GetParam(), web)), mid_context(mid_options);
  Connection with_web(*context, web_context), with_mid(*context, mid_context);
  with_web.run();
  with_mid.run();
  const Session &web_session = *with_web.server.session, &mid_session = *with_mid.server.session;
  const auto expect = [&](const Session& session, Cause cause) {
    Failure why;
    EXPECT_EQ(session.still_admitted(*Context::load(world.options), why), cause == Cause::kNone);
    EXPECT_EQ(name_of(why.cause), name_of(cause)) << why.text;
  };
  expect(web_session, Cause::kNone);
  expect(mid_session, Cause::kNone);
  world.revoke({web});
  expect(web_session, Cause::kRevoked);
  expect(mid_session, Cause::kNone);
  world.revoke({world.middle});
  expect(web_session, Cause::kNone);
  expect(mid_session, Cause::kRevoked);
  world.revoke({});
  world.options.allow.set({"CN:mid"});
  expect(web_session, Cause::kNotAllowed);
  expect(mid_session, Cause::kNone);
  world.options.allow.set({});
  world.options.crl_file.set("");
  world.options.ca_file.set(world.ca.certificate);
  expect(mid_session, Cause::kNone);  // it has shown its issuer
  world.options.ca_file.set(world.stranger.certificate);
  expect(web_session, Cause::kUnknownIssuer);
  world.options.ca_file.set("");
  expect(web_session, Cause::kNone);
}

// A client that came in before certificates were asked for has shown none.
TEST_P(Mutual, StillAdmittedWithoutCertificate) {
  World world;
  const std::string ca_file = world.options.ca_file();
  world.options.ca_file.set("");
  const auto context = Context::load(world.options);
  const ClientContext client_context(world.client(GetParam()));
  Connection connection(*context, client_context);
  connection.run();
  ASSERT_TRUE(connection.established());
  Failure why;
  EXPECT_TRUE(connection.server.session->still_admitted(*context, why));
  world.options.ca_file.set(ca_file);
  EXPECT_FALSE(connection.server.session->still_admitted(*Context::load(world.options), why));
  EXPECT_EQ(why.cause, Cause::kNoCertificate);
}

}  // namespace
}  // namespace pelikan::net::tls
