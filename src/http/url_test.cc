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

}  // namespace
}  // namespace autoglm::http
