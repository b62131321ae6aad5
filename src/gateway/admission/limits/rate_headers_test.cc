#include "gateway/admission/limits/rate_headers.h"

#include <gtest/gtest.h>

#include <limits>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

std::string reset(Duration time) {
  const RateReport report{.requests = RateState{.limit = 1, .remaining = 0, .reset = time}, .tokens = {}};
  return rate_headers(report).at(2).second;
}

TEST(RateHeaders, NameWhatIsLeft) {
  const RateReport report{
      .requests = RateState{.limit = 60, .remaining = 59, .reset = 1s},
      .tokens = RateState{.limit = std::numeric_limits<std::uint64_t>::max(), .remaining = 0, .reset = {}}};
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"x-ratelimit-limit-requests", "60"},  {"x-ratelimit-remaining-requests", "59"},
      {"x-ratelimit-reset-requests", "1s"},  {"x-ratelimit-limit-tokens", "18446744073709551615"},
      {"x-ratelimit-remaining-tokens", "0"}, {"x-ratelimit-reset-tokens", "0s"}};
  EXPECT_EQ(rate_headers(report), expected);
}

TEST(RateHeaders, TimesAreRoundedUpToThousandths) {
  EXPECT_EQ(reset(1ns), "0.001s");
  EXPECT_EQ(reset(1500ms), "1.5s");
  EXPECT_EQ(reset(60'010ms), "60.01s");
  EXPECT_EQ(reset(999'999'500ns), "1s");
  EXPECT_EQ(reset(100ms), "0.1s");
  EXPECT_EQ(reset(2005ms), "2.005s");
  EXPECT_EQ(reset(Duration::max()), "9223372036.855s");
}

}  // namespace
}  // namespace autoglm::gateway
