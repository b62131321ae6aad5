#include "engine/engine_inbox.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>

namespace autoglm::engine {
namespace {

TEST(EngineInbox, ACancellationStopsTheStepThatComputesNothingElseWheneverItComes) {
  constexpr GenerationId kOne{7}, kOther{8};
  EngineInbox inbox(8);
  inbox.begin_step(kOne);
  EXPECT_FALSE(inbox.stop.is_set());
  inbox.cancel(kOther);
  EXPECT_FALSE(inbox.stop.is_set()) << "it is another's step";
  inbox.cancel(kOne);
  EXPECT_TRUE(inbox.stop.is_set());
  inbox.end_step();
  inbox.note_cancellation();
  // One of them has not been read yet: it came behind the reading, and before the step.
  inbox.begin_step(kOne);
  EXPECT_TRUE(inbox.stop.is_set());
  inbox.end_step();
  inbox.begin_step(std::nullopt);
  EXPECT_FALSE(inbox.stop.is_set()) << "others wait for this step";
  inbox.end_step();
  inbox.note_cancellation();
  inbox.begin_step(kOne);
  EXPECT_FALSE(inbox.stop.is_set());
}

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
