#include "engine/place_pool.h"

#include <gtest/gtest.h>

namespace autoglm::engine {
namespace {

const PlaceOwner kNobody{};
const PlaceOwner kChat{.group = "chat", .share = 0.5};
const PlaceOwner kBatch{.group = "batch"};

TEST(PlacePool, AGroupGetsItsShareWhileOthersHoldAll) {
  PlacePool pool(10, 1000);
  EXPECT_TRUE(pool.take_places(kBatch, 4));
  EXPECT_TRUE(pool.take_places(kNobody, 6));
  EXPECT_FALSE(pool.take_places(kNobody, 1));
  EXPECT_FALSE(pool.take_places(kBatch, 1)) << "it owns nothing";
  EXPECT_FALSE(pool.take_places(kChat, 6)) << "more than its half";
  EXPECT_TRUE(pool.take_places(kChat, 3));
  EXPECT_TRUE(pool.take_places(kChat, 2));
  EXPECT_FALSE(pool.take_places(kChat, 1));
  EXPECT_EQ(pool.places(), 15U);
  pool.give_back("chat", 3, 0);
  EXPECT_FALSE(pool.take_places(kNobody, 1)) << "others do not get it";
  EXPECT_TRUE(pool.take_places(kChat, 3));
}

TEST(PlacePool, WhatAGroupBorrowsCountsForItsShare) {
  PlacePool pool(10, 1000);
  EXPECT_TRUE(pool.take_places(kChat, 8));
  EXPECT_TRUE(pool.take_places(kNobody, 2));
  EXPECT_FALSE(pool.take_places(kChat, 1));
  pool.give_back("", 2, 0);
  pool.give_back("chat", 8, 0);
  EXPECT_EQ(pool.places(), 0U);
  EXPECT_TRUE(pool.take_places(kNobody, 10));
  EXPECT_TRUE(pool.take_places(kChat, 5));
}

TEST(PlacePool, ItsMemoryIsSharedAlike) {
  PlacePool pool(10, 1000);
  EXPECT_TRUE(pool.take_bytes(kBatch, 900));
  EXPECT_FALSE(pool.take_bytes(kNobody, 101));
  EXPECT_TRUE(pool.take_bytes(kChat, 500));
  EXPECT_FALSE(pool.take_bytes(kChat, 1));
  pool.give_back("batch", 0, 900);
  EXPECT_EQ(pool.bytes(), 500U);
  EXPECT_TRUE(pool.take_bytes(kNobody, 500));
}

}  // namespace
}  // namespace autoglm::engine
