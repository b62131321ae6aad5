#include "gateway/admission/limits/limit_config.h"

#include <gtest/gtest.h>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

TEST(ParseRate, ReadsAmountsAndTimes) {
  for (const auto& [text, amount, period] : {std::tuple("10/s", 10U, Duration(1s)),
                                             {"1000/min", 1000U, Duration(60s)},
                                             {"2M/day", 2'000'000U, Duration(24h)},
                                             {"5k/hour", 5000U, Duration(1h)},
                                             {"3/10s", 3U, Duration(10s)},
                                             {"1/m", 1U, Duration(60s)}}) {
    const auto spec = parse_rate(text);
    ASSERT_TRUE(spec) << text;
    EXPECT_EQ(spec->amount, amount) << text;
    EXPECT_EQ(spec->period, period) << text;
  }
}

TEST(ParseRate, SaysWhatARateIs) {
  for (const char* text : {"", "10", "/s", "10/", "0/s", "-1/s", "10/0s", "10/week", "10 /s", "10/s ",
                           "9999999999999G/s", "1.5/s", "10//s", "10/20000s"}) {
    const auto spec = parse_rate(text);
    ASSERT_FALSE(spec) << text;
    EXPECT_NE(spec.error().message.find("1000/min"), std::string::npos) << spec.error().message;
  }
}

TEST(RateOf, NamesTheKeyThatIsWrong) {
  const auto param = [](LimitConfig limit) {
    const auto rate = rate_of(limit);
    return rate ? std::string("none") : rate.error().param;
  };
  EXPECT_EQ(param({.tokens = "10/s", .burst = 5}), "none");
  EXPECT_EQ(param({.tokens = "ten/s"}), "tokens");
  EXPECT_EQ(param({.requests = "ten/s"}), "requests");
  EXPECT_EQ(param({.requests = "10/s", .burst = 5, .algorithm = RateAlgorithm::kSlidingWindow}), "burst");
  EXPECT_EQ(param({.requests = "10/s", .queue = 5}), "queue");
}

}  // namespace
}  // namespace autoglm::gateway
