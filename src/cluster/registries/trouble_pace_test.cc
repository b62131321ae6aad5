#include "cluster/registries/trouble_pace.h"

#include <gtest/gtest.h>

namespace autoglm::cluster {
namespace {

using namespace std::chrono_literals;

TEST(TroublePace, TellsEachKindOnceThenOnceAMinuteAndAgainAfterASuccess) {
  const Error here{.code = ErrorCode::kUnavailable, .message = "http://a: connection refused"};
  const Error there{.code = ErrorCode::kUnavailable, .message = "http://b: connection refused"};
  const Error slow{.code = ErrorCode::kDeadlineExceeded, .message = "http://b: too slow"};
  const MonotonicTime start{1h};
  TroublePace pace;
  EXPECT_TRUE(pace.is_news(here, start));
  EXPECT_FALSE(pace.is_news(there, start));
  EXPECT_TRUE(pace.is_news(slow, start + 1s));
  EXPECT_FALSE(pace.is_news(here, start + 2s));
  EXPECT_FALSE(pace.is_news(slow, start + 60s));
  EXPECT_TRUE(pace.is_news(here, start + 61s));
  EXPECT_FALSE(pace.is_news(slow, start + 62s));
  pace.end();
  EXPECT_TRUE(pace.is_news(here, start + 63s));
}

}  // namespace
}  // namespace autoglm::cluster
