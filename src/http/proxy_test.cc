#include "http/proxy.h"

#include <gtest/gtest.h>

namespace autoglm::http {
namespace {

Url url(const char* text) { return Url::parse(text).value(); }

TEST(Proxy, TakesAddressesWithAndWithoutCredentials) {
  EXPECT_EQ(Proxy::parse("proxy:3128")->host, (HostPort{"proxy", 3128}));
  EXPECT_EQ(Proxy::parse("http://proxy.example/")->host, (HostPort{"proxy.example", 80}));
  EXPECT_EQ(Proxy::parse("http://a:p%40ss@proxy:8080")->authorization, "Basic YTpwQHNz");
  EXPECT_EQ(Proxy::parse("http://a:p%40ss@proxy:8080")->host, (HostPort{"proxy", 8080}));
}

TEST(Proxy, RefusesOtherKindsWithoutTellingThePassword) {
  const auto socks = Proxy::parse("socks5://user:secret@proxy:1080");
  ASSERT_FALSE(socks);
  EXPECT_NE(socks.error().message.find("socks5"), std::string::npos);
  EXPECT_EQ(socks.error().message.find("secret"), std::string::npos);
  EXPECT_FALSE(Proxy::parse("http://user:secret@proxy:port"));
}

TEST(ProxyRules, ChooseByScheme) {
  const auto rules = ProxyRules::create("plain:1", "tls:2", "", "").value();
  EXPECT_EQ(rules.of(url("http://a.example/"))->host.host, "plain");
  EXPECT_EQ(rules.of(url("https://a.example/"))->host.host, "tls");
  const auto one = ProxyRules::create("", "", "both:3", "").value();
  EXPECT_EQ(one.of(url("http://a.example/"))->host.host, "both");
  EXPECT_EQ(one.of(url("https://a.example/"))->host.host, "both");
  EXPECT_FALSE(ProxyRules::create("", "", "", "").value().of(url("https://a.example/")));
  EXPECT_FALSE(ProxyRules::create("", "ftp://x", "", ""));
}

TEST(ProxyRules, LeaveOutWhatNoProxyLists) {
  const auto rules =
      ProxyRules::create("", "", "proxy:1", "example.com, .corp,10.0.0.0/8,fd00::/8,a.b:8443").value();
  const auto direct = [&](const char* text) { return !rules.of(url(text)); };
  EXPECT_TRUE(direct("https://example.com/"));
  EXPECT_TRUE(direct("https://Hub.Example.com/"));
  EXPECT_FALSE(direct("https://notexample.com/"));
  EXPECT_TRUE(direct("https://x.corp/"));
  EXPECT_TRUE(direct("http://10.200.3.4/"));
  EXPECT_FALSE(direct("http://11.0.0.1/"));
  EXPECT_TRUE(direct("http://[fd12::1]/"));
  EXPECT_FALSE(direct("http://[fe80::1]/"));
  EXPECT_TRUE(direct("https://a.b:8443/"));
  EXPECT_FALSE(direct("https://a.b/"));
  EXPECT_FALSE(ProxyRules::create("", "", "proxy:1", "*").value().of(url("https://example.com/")));
}

TEST(ProxyRules, NeverSendThisMachinesRequestsAway) {
  const auto rules = ProxyRules::create("", "", "proxy:1", "").value();
  EXPECT_FALSE(rules.of(url("http://localhost:8080/")));
  EXPECT_FALSE(rules.of(url("http://127.0.0.1/")));
  EXPECT_FALSE(rules.of(url("http://[::1]/")));
}

}  // namespace
}  // namespace autoglm::http
