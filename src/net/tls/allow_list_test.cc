// Patterns against names, and the names in certificates.
#include "net/tls/allow_list.h"

#include <gtest/gtest.h>

#include <chrono>

#include "net/tls/names.h"
#include "testing/pki/pki.h"

namespace pelikan::net::tls {
namespace {

struct Row {
  const char* pattern;
  NameKind kind;
  const char* name;
  bool matches;
};

constexpr NameKind kUri = NameKind::kUri, kDns = NameKind::kDns, kEmail = NameKind::kEmail, kIp = NameKind::kIp,
                   kCn = NameKind::kCn;

constexpr Row kRows[] = {
    {"DNS:web.example", kDns, "web.example", true},
    {"DNS:web.example", kDns, "WEB.Example", true},
    {"DNS:Web.example", kDns, "web.example", true},
    {"DNS:web.example", kDns, "web.example.", false},
    {"DNS:web.example", kDns, "aweb.example", false},
    {"DNS:web.example", kDns, "web.exampl", false},
    {"DNS:web.example", kDns, "web.examplee", false},
    {"DNS:web.example", kCn, "web.example", false},
    {"DNS:web.example", kUri, "web.example", false},
    {"DNS:*.web.example", kDns, "a.web.example", true},
    {"DNS:*.web.example", kDns, ".web.example", true},
    {"DNS:*.web.example", kDns, "web.example", false},
    {"DNS:*.web.example", kDns, "a.b.web.example", false},
    {"DNS:**.web.example", kDns, "a.b.web.example", true},
    {"DNS:*.web.example", kDns, "a.web.example.evil.example", false},
    {"DNS:*.web.example", kDns, "*.web.example", true},
    {"DNS:a.web.example", kDns, "*.web.example", false},
    {"DNS:web-?.example", kDns, "web-1.example", true},
    {"DNS:web-?.example", kDns, "web-.example", false},
    {"DNS:web?example", kDns, "web.example", false},
    {"DNS:w*b.*", kDns, "web.example", true},
    {"DNS:*", kDns, "localhost", true},
    {"DNS:*", kDns, "web.example", false},
    {"URI:spiffe://prod/*", kUri, "spiffe://prod/web", true},
    {"URI:spiffe://prod/*", kUri, "spiffe://prod/", true},
    {"URI:spiffe://prod/*", kUri, "spiffe://prod/ns/web", false},
    {"URI:spiffe://prod/**", kUri, "spiffe://prod/ns/web", true},
    {"URI:spiffe://prod/**", kUri, "spiffe://prod.evil/ns/web", false},
    {"URI:spiffe://*/web", kUri, "spiffe://evil/prod/web", false},
    {"URI:spiffe://prod/ns/*/sa/web", kUri, "spiffe://prod/ns/a/sa/web", true},
    {"URI:spiffe://prod/ns/*/sa/web", kUri, "spiffe://prod/ns/a/b/sa/web", false},
    {"URI:spiffe://prod/ns/**/sa/web", kUri, "spiffe://prod/ns/a/b/sa/web", true},
    {"URI:spiffe://prod/web", kUri, "spiffe://PROD/web", false},
    {"URI:spiffe://prod/web", kUri, "spiffe://prod/web/", false},
    {"EMAIL:*@web.example", kEmail, "a.b@web.example", true},
    {"EMAIL:*@web.example", kEmail, "a@b@web.example", false},
    {"EMAIL:ops@*", kEmail, "ops@web.example", true},
    {"EMAIL:ops@*", kEmail, "ops@x@evil.example", false},
    {"IP:10.0.0.7", kIp, "10.0.0.7", true},
    {"IP:10.0.0.7", kIp, "10.0.0.70", false},
    {"IP:10.*", kIp, "10.0.0.7", true},
    {"IP:10.*", kIp, "110.0.0.7", false},
    {"IP:10.0.0.0/8", kIp, "10.255.0.7", true},
    {"IP:10.0.0.0/8", kIp, "11.0.0.0", false},
    {"IP:10.0.0.0/8", kDns, "10.0.0.1", false},
    {"IP:10.0.0.0/8", kIp, "::ffff:10.0.0.1", false},
    {"IP:10.1.2.128/25", kIp, "10.1.2.128", true},
    {"IP:10.1.2.128/25", kIp, "10.1.2.127", false},
    {"IP:10.1.2.3/32", kIp, "10.1.2.3", true},
    {"IP:10.1.2.3/32", kIp, "10.1.2.2", false},
    {"IP:0.0.0.0/0", kIp, "192.0.2.1", true},
    {"IP:0.0.0.0/0", kIp, "::1", false},
    {"IP:2001:DB8::/33", kIp, "2001:db8:7fff::1", true},
    {"IP:2001:DB8::/33", kIp, "2001:db8:8000::1", false},
    {"IP:::/0", kIp, "2001:db8::1", true},
    {"IP:*.0.0.?", kIp, "10.0.0.7", true},
    {"IP:2001*", kIp, "2001:db8::1", true},
    {"IP:::ffff:10.0.*", kIp, "::ffff:10.0.0.1", true},
    {"IP:fe80::*:1", kIp, "fe80::a:1", true},
    {"IP:2001:DB8:0:0::1", kIp, "2001:db8::1", true},
    {"IP:2001:db8:*", kIp, "2001:db8::1", true},
    {"IP:::1", kIp, "::1", true},
    {"CN:cache-??", kCn, "cache-12", true},
    {"CN:cache-??", kCn, "cache-1", false},
    {"CN:cache*", kCn, "cache/a.b@c", true},
    {"CN:Cache", kCn, "cache", false},
    {"CN:a:b", kCn, "a:b", true},
    {"CN:*a*", kCn, "bab", true},
    {"CN:***", kCn, "", true},
    {"cn:x", kCn, "x", true},
};

TEST(AllowListTest, Patterns) {
  for (const Row& row : kRows) {
    const AllowList list({row.pattern});
    const std::vector<Name> names = {{row.kind, row.name}};
    EXPECT_EQ(list.match(names) != nullptr, row.matches) << row.pattern << " and " << row.name;
  }
}

TEST(AllowListTest, WhatCouldNeverMatchIsRefused) {
  const struct {
    std::string pattern;
    const char* words;
  } rows[] = {
      {"", "must begin with"},
      {"web.example", "must begin with"},
      {"FQDN:web.example", "must begin with"},
      {":x", "must begin with"},
      {"DNS:", "no pattern behind the colon"},
      {"IP:10.0.0", "no IP address"},
      {"IP:10.0.0.256", "no IP address"},
      {"IP:010.0.0.1", "no IP address"},
      {"IP:web.example", "no IP address"},
      {"IP:10.0.0.1 ", "no IP address"},
      {std::string("IP:10.0.0.1\0.2", 13), "no such name has"},
      {"IP:/8", "no IP address"},
      {"IP:10.0.0.0/", "at most 32"},
      {"IP:10.0.0.0/33", "at most 32"},
      {"IP:10.0.0.0/-1", "at most 32"},
      {"IP:10.0.0.0/8x", "at most 32"},
      {"IP:10.0.0.0/99999999999999999999", "at most 32"},
      {"IP:10.0.0.0/255.0.0.0", "at most 32"},
      {"IP:2001:db8::/129", "at most 128"},
      {"IP:10.0.0.1/8", "within a network"},
      {"IP:2001:db8::1/127", "within a network"},
      {"IP:10.*/8", "fits no IP address"},
      {"IP:300.*", "fits no IP address"},
      {"IP:*.256", "fits no IP address"},
      {"IP:10..*", "fits no IP address"},
      {"IP:10.0.00.*", "fits no IP address"},
      {"IP:a.*", "fits no IP address"},
      {"IP:10.0.0.0.*", "fits no IP address"},
      {"IP:2001:0db8:*", "fits no IP address"},
      {"IP:20011:*", "fits no IP address"},
      {"IP:web*", "fits no IP address"},
      {"DNS:caf\xc3\xa9.example", "no such name has"},
      {"URI:a\nb", "no such name has"},
      {"CN:a\tb", "no such name has"},
      {"CN:\xff", "no such name has"},
      {"CN:" + std::string(254, 'a'), "longer than 256"},
  };
  for (const auto& row : rows) {
    try {
      const AllowList list({"CN:good", row.pattern});
      ADD_FAILURE() << row.pattern;
    } catch (const std::runtime_error& error) {
      const std::string_view said = error.what();
      EXPECT_NE(said.find(row.words), std::string_view::npos) << row.pattern << ": " << said;
      EXPECT_NE(said.find(clean(row.pattern.substr(0, 100))), std::string_view::npos) << said;
      EXPECT_EQ(said.find('\n'), std::string_view::npos);
    }
  }
  const AllowList accented({"CN:caf\xc3\xa9"});
  EXPECT_NE(accented.match(std::vector<Name>{{kCn, "caf\xc3\xa9"}}), nullptr);
}

TEST(AllowListTest, FirstNameThatMatches) {
  const AllowList list({"CN:b", "DNS:*"});
  const std::vector<Name> names = {{kUri, "u"}, {kDns, "d"}, {kCn, "b"}};
  EXPECT_EQ(list.match(names), &names[1]);
  EXPECT_EQ(list.match({}), nullptr);
  EXPECT_EQ(AllowList().match(names), nullptr);
}

// Stars upon stars and a name that almost fits: exponential for who backtracks.
TEST(AllowListTest, NoPatternIsSlow) {
  std::string pattern = "URI:";
  while (pattern.size() < 240) pattern += "a*a**";
  const AllowList list({pattern + "b"});
  const std::vector<Name> names = {{kUri, std::string(kNameBytesMax, 'a')}};
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(list.match(names), nullptr);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));  // milliseconds, in truth
}

TEST(NamesTest, AllOfACertificateInOrder) {
  testing::Pki pki;
  const testing::Identity leaf = pki.self_signed(
      {.name = "web", .san = {"DNS:a.example", "IP:10.0.0.7", "URI:spiffe://prod/web", "EMAIL:a@b", "IP:2001:db8::1"}});
  std::string all;
  for (const Name& name : names_in(leaf.x509.get())) all += shown(name) + " ";
  EXPECT_EQ(all, "DNS:a.example IP:10.0.0.7 URI:spiffe://prod/web EMAIL:a@b IP:2001:db8::1 CN:web ");
  EXPECT_EQ(name_shown(leaf.x509.get()), "URI:spiffe://prod/web");
}

TEST(NamesTest, WhatToCallItsOwner) {
  testing::Pki pki;
  const auto called = [&pki](const testing::Wanted& wanted) { return name_shown(pki.self_signed(wanted).x509.get()); };
  EXPECT_EQ(called({.name = "web", .san = {"IP:10.0.0.7", "EMAIL:a@b"}}), "EMAIL:a@b");
  EXPECT_EQ(called({.name = "web", .san = {"IP:10.0.0.7"}}), "IP:10.0.0.7");
  EXPECT_EQ(called({.name = "web"}), "CN:web");
  EXPECT_EQ(called({.name = "web", .no_cn = true}), "SUBJECT:/O=Pelikan tests");
  EXPECT_EQ(called({.name = "web",
                    .cn = "w\xc3\xa9"
                          "b"}),
            "CN:w\xc3\xa9"
            "b");
  EXPECT_EQ(called({.name = "web", .cn = std::string("a\0b", 3)}), "SUBJECT:/O=Pelikan tests/CN=a\\x00b");
}

TEST(NamesTest, CleanTextStaysOneLine) {
  EXPECT_EQ(clean("plain"), "plain");
  EXPECT_EQ(clean("a\r\nb\x1b[2J\x7f"), "a??b?[2J?");
  EXPECT_EQ(clean("caf\xc3\xa9"), "caf\xc3\xa9");
  EXPECT_EQ(clean("bad \xff"), "bad ?");
  EXPECT_EQ(clean("csi \xc2\x9b"
                  "2J"),
            "csi ??2J");
  EXPECT_EQ(clean(std::string(1000, 'x')), std::string(kShownBytesMax, 'x') + "...");
}

}  // namespace
}  // namespace pelikan::net::tls
