#include "redis/slot.h"

#include <gtest/gtest.h>

namespace autoglm::redis {
namespace {

TEST(SlotOf, IsThatOfRedis) {  // as CLUSTER KEYSLOT says
  EXPECT_EQ(slot_of("123456789"), 12739);
  EXPECT_EQ(slot_of("foo"), 12182);
  EXPECT_EQ(slot_of("{foo}:bar"), 12182);
  EXPECT_EQ(slot_of("a{foo}{bar}"), 12182);
  EXPECT_NE(slot_of("{}foo"), slot_of("foo"));
  EXPECT_EQ(slot_of("{foo"), slot_of("{foo"));
  EXPECT_NE(slot_of("{foo"), slot_of("foo"));
}

TEST(Redirection, ReadsWhereToGo) {
  const auto moved = Redirection::parse("MOVED 3999 127.0.0.1:6381");
  ASSERT_TRUE(moved);
  EXPECT_TRUE(moved->for_good);
  EXPECT_EQ(moved->slot, 3999);
  EXPECT_EQ(moved->target, (HostPort{"127.0.0.1", 6381}));
  const auto ask = Redirection::parse("ASK 1 ::1:7000");
  ASSERT_TRUE(ask);
  EXPECT_FALSE(ask->for_good);
  EXPECT_EQ(ask->target, (HostPort{"::1", 7000}));
  EXPECT_EQ(Redirection::parse("MOVED 1 :7000")->target.host, "");
  for (const char* other :
       {"ERR no", "MOVED", "MOVED 1", "MOVED x a:1", "MOVED 16384 a:1", "MOVED 1 a:0", "MOVED 1 a:b"})
    EXPECT_FALSE(Redirection::parse(other)) << other;
}

}  // namespace
}  // namespace autoglm::redis
