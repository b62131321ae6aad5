#include "gateway/resilience/stand_in.h"

#include <gtest/gtest.h>

namespace autoglm::gateway {
namespace {

TEST(StandIn, ATextThatAFallbackGivesIsNobodysWork) {
  const auto answer = fallback_answer("b", nullptr, static_answer("Busy.", 1));
  ASSERT_NE(answer->origin(), nullptr);
  EXPECT_EQ(answer->origin()->attempts, 0U);
  EXPECT_EQ(answer->origin()->fallback, "static");
  const auto nested = fallback_answer("a", nullptr, fallback_answer("b", nullptr, static_answer("Busy.", 1)));
  EXPECT_EQ(nested->origin()->attempts, 0U);
}

}  // namespace
}  // namespace autoglm::gateway
