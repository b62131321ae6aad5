#include "http/url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace autoglm::http {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Url, ItsMistakesAreToldWithoutWhatIsSecret) {
  for (const char* text :
       {"https://me:hush@host:x/v1", "ftp://me:hush@host/", "me:hush@host/v1", "https://host:1x/v1?key=hush",
        "https:// host/?key=hush", "https://me:hush@host/v1", "https://?key=hush"}) {
    const auto url = Url::parse(text);
    ASSERT_FALSE(url) << text;
    EXPECT_THAT(url.error().message, Not(HasSubstr("hush")));
  }
  EXPECT_THAT(Url::parse("ftp://host/a").error().message, HasSubstr("\"ftp://host/a\" is not an http://"));
  const auto base = Url::parse("https://host/").value();
  EXPECT_THAT(base.resolve("ftp://host/?token=hush").error().message, Not(HasSubstr("hush")));
}

TEST(Url, IsTakenApart) {
  const Url url = Url::parse("https://example.com/a/b?c=d").value();
  EXPECT_TRUE(url.tls);
  EXPECT_EQ(url.host, (HostPort{"example.com", 443}));
  EXPECT_EQ(url.target, "/a/b?c=d");
  EXPECT_EQ(url.authority(), "example.com");
  EXPECT_EQ(Url::parse("http://[::1]:8000")->authority(), "[::1]:8000");
  EXPECT_EQ(url.resolve("../x")->target, "/x");
  EXPECT_EQ(url.resolve("//other/y")->origin(), "https://other:443");
}

TEST(Url, KeepsItsQueryBehindWhatIsBelowIt) {
  const auto below = [](const char* url, const char* path, const char* more = "") {
    return Url::parse(url)->below(path, more);
  };
  EXPECT_EQ(below("http://h/v1", "/models"), "/v1/models");
  EXPECT_EQ(below("http://h", "/models"), "/models");
  EXPECT_EQ(below("http://h/?a=1", "/models"), "/models?a=1");
  EXPECT_EQ(below("https://h/openai/deployments/x?api-version=2024-06-01", "/chat/completions"),
            "/openai/deployments/x/chat/completions?api-version=2024-06-01");
  EXPECT_EQ(below("http://h/v1?a=1", "/health?deep=1&a=2", "a=3&deep=2&b&&c=%20"),
            "/v1/health?a=1&deep=1&b&c=%20");
  EXPECT_EQ(below("http://h/v1", "/models", "b=1"), "/v1/models?b=1");
}

TEST(Url, RefusesWhatItCannotUse) {
  for (const char* text :
       {"", "example.com", "ftp://x/", "http://", "http://u:p@x/", "http://x:99999/", "http://a b/"}) {
    EXPECT_FALSE(Url::parse(text)) << text;
  }
}

}  // namespace
}  // namespace autoglm::http
