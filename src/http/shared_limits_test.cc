#include "http/shared_limits.h"

#include <gtest/gtest.h>

#include <optional>

namespace autoglm::http {
namespace {

TEST(BodyMemory, IsSharedAndGivenBack) {
  BodyMemory memory(300'000);
  {
    BodyMemory::Share a(&memory);
    EXPECT_TRUE(a.cover(BodyMemory::Share::kFree));
    EXPECT_EQ(memory.used(), 0U) << "small ones are not counted";
    EXPECT_TRUE(a.cover(100'000));
    EXPECT_TRUE(a.cover(200'000));
    EXPECT_EQ(memory.used(), 200'000U) << "once, not twice";
    BodyMemory::Share b(&memory);
    EXPECT_FALSE(b.cover(100'001));
    EXPECT_EQ(memory.used(), 200'000U) << "what was refused is not held";
    EXPECT_TRUE(b.cover(100'000));
    b = BodyMemory::Share();
    EXPECT_TRUE(a.cover(300'000));
  }
  EXPECT_EQ(memory.used(), 0U);
  EXPECT_TRUE(BodyMemory::Share().cover(std::size_t{1} << 40U)) << "no memory, no bound";
}

TEST(BodyMemory, AShareThatFitsABodyGivesBackWhatItHoldsNoMore) {
  BodyMemory memory(300'000);
  BodyMemory::Share share(&memory, 0);
  EXPECT_TRUE(share.fit(200'000));
  EXPECT_TRUE(share.cover(100));
  EXPECT_EQ(memory.used(), 200'000U) << "only fit gives back";
  EXPECT_TRUE(share.fit(100));
  EXPECT_EQ(memory.used(), 100U);
  EXPECT_FALSE(share.fit(300'001));
  EXPECT_EQ(memory.used(), 100U);
  BodyMemory::Share partly(&memory);
  EXPECT_TRUE(partly.fit(100'000));
  EXPECT_TRUE(partly.fit(BodyMemory::Share::kFree));
  EXPECT_EQ(memory.used(), 100U) << "small ones are not counted";
}

TEST(ConnectionCounts, CountsByClientAndForgets) {
  ConnectionCounts counts(2);
  {
    const ConnectionCounts::Place a(&counts, "10.0.0.1:1");
    const ConnectionCounts::Place b(&counts, "10.0.0.1:2");
    const ConnectionCounts::Place other(&counts, "10.0.0.2:1");
    std::optional<ConnectionCounts::Place> third;
    third.emplace(&counts, "10.0.0.1:3");
    EXPECT_TRUE(a.granted() && b.granted() && other.granted());
    EXPECT_FALSE(third->granted());
    third.reset();
    const ConnectionCounts::Place again(&counts, "10.0.0.1:4");
    EXPECT_FALSE(again.granted()) << "who was refused gives nothing back";
    EXPECT_EQ(counts.clients(), 2U);
  }
  EXPECT_EQ(counts.clients(), 0U);
  ConnectionCounts unbounded(0);
  EXPECT_TRUE(ConnectionCounts::Place(&unbounded, "x:1").granted());
}

TEST(ConnectionCounts, OfIPv6TheNetworkCounts) {
  EXPECT_EQ(client_of("10.0.0.1:80"), "10.0.0.1");
  EXPECT_EQ(client_of("[2001:db8:1:2:3:4:5:6]:80"), "2001:db8:1:2::");
  EXPECT_EQ(client_of("[2001:db8:1:2:ffff::1]:81"), "2001:db8:1:2::");
  EXPECT_NE(client_of("[::ffff:10.0.0.1]:80"), client_of("[::ffff:10.0.0.2]:80"));
}

}  // namespace
}  // namespace autoglm::http
