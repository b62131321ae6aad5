#include "runtime/local_address.h"

#include <gtest/gtest.h>

namespace autoglm {
namespace {

TEST(LocalAddress, IsTheOneFromWhichTheTargetIsReached) {
  EXPECT_EQ(local_address_towards({"127.0.0.1", 9}).value_or("none"), "127.0.0.1");
  EXPECT_EQ(local_address_towards({"127.0.0.7", 9}).value_or("none"), "127.0.0.1");
}

TEST(LocalAddress, ANameThatNobodyKnowsHasNone) {
  const auto address = local_address_towards({"no-such-host.invalid", 9});
  ASSERT_FALSE(address);
  EXPECT_EQ(address.error().code, ErrorCode::kUnavailable);
}

TEST(LocalAddress, OfAnotherFamilyThanAskedForIsNone) {
  if (!local_address_towards({"::1", 9})) GTEST_SKIP() << "no IPv6 on this machine: nothing to choose from";
  EXPECT_FALSE(local_address_towards({"::1", 9}, true));
}

}  // namespace
}  // namespace autoglm
