#include "gateway/front/grpc/timeout.h"

#include <gtest/gtest.h>

namespace autoglm::gateway::grpc {
namespace {

using namespace std::chrono_literals;

TEST(GrpcTimeout, ReadsEachUnit) {
  EXPECT_EQ(parse_timeout("2H"), Duration(2h));
  EXPECT_EQ(parse_timeout("3M"), Duration(3min));
  EXPECT_EQ(parse_timeout("10S"), Duration(10s));
  EXPECT_EQ(parse_timeout("99999999m"), Duration(99'999'999ms));
  EXPECT_EQ(parse_timeout("1u"), Duration(1us));
  EXPECT_EQ(parse_timeout("0n"), Duration(0ns));
}

TEST(GrpcTimeout, AWeekIsEnough) { EXPECT_EQ(parse_timeout("99999999H"), Duration(7 * 24h)); }

TEST(GrpcTimeout, WhatIsNoTimeoutIsRefused) {
  for (const char* text : {"", "S", "5", "5s", "-1S", "1.5S", "123456789S", "0x5S", " 1S"}) {
    const auto timeout = parse_timeout(text);
    ASSERT_FALSE(timeout) << text;
    EXPECT_EQ(timeout.error().param, "grpc-timeout");
  }
}

}  // namespace
}  // namespace autoglm::gateway::grpc
