#include "runtime/descriptor_reserve.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

namespace autoglm {
namespace {

TEST(DescriptorReserve, GivesUpWhatItKeptWhenThereIsNoOther) {
  DescriptorReserve reserve(2);
  EXPECT_EQ(reserve.left(), 2U);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const int next = ::dup(1);  // the lowest free number
  ASSERT_GE(next, 0);
  rlimit none_left = before;
  none_left.rlim_cur = static_cast<rlim_t>(next) + 1;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none_left), 0);
  EXPECT_LT(::dup(1), 0);
  EXPECT_TRUE(reserve.release());
  const int instead = ::dup(1);
  EXPECT_GE(instead, 0);
  reserve.refill();
  EXPECT_EQ(reserve.left(), 1U) << "there is nothing to be had";
  ::close(instead);
  reserve.refill();
  EXPECT_EQ(reserve.left(), 2U);
  EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ::close(next);
  EXPECT_TRUE(reserve.release() && reserve.release());
  EXPECT_FALSE(reserve.release());
}

}  // namespace
}  // namespace autoglm
