#include "http/retry_after.h"

#include <gtest/gtest.h>

#include <string>

namespace autoglm::http {
namespace {

using namespace std::chrono_literals;

std::optional<std::chrono::seconds> of(std::string_view value) {
  HeaderView headers;
  headers.add("Retry-After", value);
  // Wed, 21 Oct 2015 07:28:00 GMT
  return retry_after(headers, std::chrono::system_clock::time_point(1'445'412'480s));
}

TEST(RetryAfter, IsSecondsOrADate) {
  EXPECT_EQ(of("0"), 0s);
  EXPECT_EQ(of("120"), 120s);
  EXPECT_EQ(of("Wed, 21 Oct 2015 07:28:30 GMT"), 30s);
  EXPECT_EQ(of("Wed, 21 Oct 2015 07:27:30 GMT"), 0s) << "over already";
  EXPECT_EQ(retry_after({}), std::nullopt);
}

TEST(RetryAfter, IsRoundedUpFromFractionsAndMilliseconds) {
  EXPECT_EQ(of("1.5"), 2s);
  EXPECT_EQ(of("0.2"), 1s);
  EXPECT_EQ(of("3.0"), 3s);
  HeaderView headers;
  headers.add("retry-after", "60");
  headers.add("retry-after-ms", "1500");
  EXPECT_EQ(retry_after(headers), 2s) << "the exacter one";
  HeaderView wrong;
  wrong.add("retry-after-ms", "soon");
  wrong.add("retry-after", "7");
  EXPECT_EQ(retry_after(wrong), 7s);
}

TEST(RetryAfter, IsADateInAnyOfTheThreeForms) {
  EXPECT_EQ(of("Wednesday, 21-Oct-15 07:28:30 GMT"), 30s);
  EXPECT_EQ(of("Wed Oct 21 07:28:30 2015"), 30s);
}

TEST(RetryAfter, IsBoundedAndNeverForgottenForBeingLarge) {
  for (const char* huge :
       {"86401", "9223372037", "18446744074", "9223372036854775807", "18446744073709551615",
        "99999999999999999999999999999999", "Wed, 21 Oct 9999 07:28:30 GMT"}) {
    EXPECT_EQ(of(huge), kLongestRetryAfter) << huge;
  }
  EXPECT_EQ(of(std::string(400, '9')), kLongestRetryAfter) << "beyond any number";
}

TEST(RetryAfter, IsNothingWhenItIsNeither) {
  for (const char* wrong :
       {"", "-1", "+3", "1.5.2", ".5", "1e3", "inf", "3 s", "soon", "Wed, 21 Oct 2015", "0x10"})
    EXPECT_EQ(of(wrong), std::nullopt) << wrong;
}

}  // namespace
}  // namespace autoglm::http
