#include "engine/engine_inbox.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>

namespace autoglm::engine {
namespace {

TEST(Places, AreGivenBackWithWhatWasPrepared) {
  const auto inbox = std::make_shared<EngineInbox>(8);
  {
    Places places = *Places::take(inbox, {}, 3);
    EXPECT_TRUE(places.add(kMostPreparedBytes));
    EXPECT_EQ(inbox->pool.bytes(), kMostPreparedBytes);
    const Places moved = std::move(places);
    EXPECT_EQ(inbox->pool.places(), 3U);
  }
  EXPECT_EQ(inbox->pool.places(), 0U);
  EXPECT_EQ(inbox->pool.bytes(), 0U);
}

TEST(Places, AreKeptByARequestThatWasHandedOver) {
  const auto inbox = std::make_shared<EngineInbox>(8);
  {
    Places places = *Places::take(inbox, {}, 3);
    EXPECT_TRUE(places.add(100));
    places.keep();
  }
  EXPECT_EQ(inbox->pool.places(), 3U);
  EXPECT_EQ(inbox->pool.bytes(), 100U);
}

TEST(Places, HaveMemoryForAFewOfTheLargestRequests) {
  const auto inbox = std::make_shared<EngineInbox>(8);
  Places first = *Places::take(inbox, {}, 0);
  EXPECT_TRUE(first.add(kMostPreparedBytes));
  {
    Places second = *Places::take(inbox, {}, 0);
    EXPECT_TRUE(second.add(kMostPreparedBytes));
    Places third = *Places::take(inbox, {}, 0);
    EXPECT_FALSE(third.add(1));
  }
  Places third = *Places::take(inbox, {}, 0);
  EXPECT_TRUE(third.add(1));
}

}  // namespace
}  // namespace autoglm::engine
