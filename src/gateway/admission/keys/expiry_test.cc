#include "gateway/admission/keys/expiry.h"

#include <gtest/gtest.h>

namespace autoglm::gateway {
namespace {

WallTime at(int year, unsigned month, unsigned day) {
  return std::chrono::sys_days(std::chrono::year(year) / month / day);
}

TEST(Expiry, ReadsMomentsOfRfc3339) {
  EXPECT_EQ(parse_moment("2027-01-31T00:00:00Z"), at(2027, 1, 31));
  EXPECT_EQ(parse_moment("2027-01-31t01:02:03.25z"),
            at(2027, 1, 31) + std::chrono::hours(1) + std::chrono::minutes(2) + std::chrono::seconds(3));
  EXPECT_EQ(parse_moment("2027-01-31T00:30:00+01:00"), at(2027, 1, 30) + std::chrono::minutes(23 * 60 + 30));
  EXPECT_EQ(parse_moment("2024-02-29T00:00:00-00:30"), at(2024, 2, 29) + std::chrono::minutes(30));
  EXPECT_EQ(to_rfc3339(*parse_moment("2027-01-31T23:59:59Z")), "2027-01-31T23:59:59Z");
}

TEST(Expiry, RefusesWhatIsNoMoment) {
  for (const char* wrong :
       {"", "2027-01-31", "2027-01-31T", "2027-01-31T00:00Z", "2027-01-31T00:00:00", "2027-02-30T00:00:00Z",
        "2027-01-31T24:00:00Z", "2027-01-31T00:60:00Z", "2027-01-31T00:00:00.Z", "2027-01-31T00:00:00+1:00",
        "2027-01-31T00:00:00ZZ", "9999-01-31T00:00:00Z", "soon", "30d"}) {
    const auto moment = parse_moment(wrong);
    ASSERT_FALSE(moment) << wrong;
    EXPECT_EQ(moment.error().param, "expires");
  }
}

TEST(Expiry, LastsFromNowOn) {
  const WallTime now = at(2026, 12, 1);
  EXPECT_EQ(parse_expiry("30d", now), at(2026, 12, 31));
  EXPECT_EQ(parse_expiry("500ms", now), now + std::chrono::seconds(1)) << "whole seconds, as they are shown";
  EXPECT_EQ(parse_expiry("2027-01-31T00:00:00Z", now), at(2027, 1, 31));
  for (const char* wrong : {"0s", "-1d", "soon", "40000000h"})
    EXPECT_FALSE(parse_expiry(wrong, now)) << wrong;
}

}  // namespace
}  // namespace autoglm::gateway
