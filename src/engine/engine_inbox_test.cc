#include "engine/engine_inbox.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>

namespace autoglm::engine {
namespace {

TEST(Places, AreGivenBackWithWhatWasPrepared) {
  const auto inbox = std::make_shared<EngineInbox>(8);
  inbox->outstanding.fetch_add(3);
  {
    Places places(inbox, 3);
    EXPECT_TRUE(places.add(kMostPreparedBytes));
    EXPECT_EQ(inbox->bytes, kMostPreparedBytes);
    const Places moved = std::move(places);
    EXPECT_EQ(inbox->outstanding, 3U);
  }
  EXPECT_EQ(inbox->outstanding, 0U);
  EXPECT_EQ(inbox->bytes, 0U);
}

TEST(Places, AreKeptByARequestThatWasHandedOver) {
  const auto inbox = std::make_shared<EngineInbox>(8);
  inbox->outstanding.fetch_add(3);
  {
    Places places(inbox, 3);
    EXPECT_TRUE(places.add(100));
    places.keep();
  }
  EXPECT_EQ(inbox->outstanding, 3U);
  EXPECT_EQ(inbox->bytes, 100U);
}

TEST(Places, HaveMemoryForAFewOfTheLargestRequests) {
  const auto inbox = std::make_shared<EngineInbox>(8);
  Places first(inbox, 0);
  EXPECT_TRUE(first.add(kMostPreparedBytes));
  {
    Places second(inbox, 0);
    EXPECT_TRUE(second.add(kMostPreparedBytes));
    Places third(inbox, 0);
    EXPECT_FALSE(third.add(1));
  }
  Places third(inbox, 0);
  EXPECT_TRUE(third.add(1));
}

}  // namespace
}  // namespace autoglm::engine
