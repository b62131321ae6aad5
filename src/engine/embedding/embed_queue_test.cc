#include "engine/embedding/embed_queue.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace autoglm::engine {
namespace {

/// The picks as "request.sequence", in order.
std::string text_of(const std::vector<EmbedQueue::Pick>& picks) {
  std::string text;
  for (const auto& pick : picks)
    text += (text.empty() ? "" : " ") + std::to_string(pick.id.value) + "." + std::to_string(pick.sequence);
  return text;
}

std::string step(EmbedQueue& queue) {
  const auto picks = queue.plan();
  queue.take(picks);
  return text_of(picks);
}

TEST(EmbedQueue, PacksSequencesUpToTheTokensOfAStep) {
  EmbedQueue queue(10, 8);
  queue.add(GenerationId{1}, 0, {4, 4, 4});
  EXPECT_EQ(queue.tokens(), 12U);
  EXPECT_EQ(step(queue), "1.0 1.1");
  EXPECT_EQ(step(queue), "1.2");
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.tokens(), 0U);
}

TEST(EmbedQueue, ASequenceLongerThanAStepIsOneOfItsOwn) {
  EmbedQueue queue(4, 8);
  queue.add(GenerationId{1}, 0, {9, 1, 1});
  EXPECT_EQ(step(queue), "1.0");
  EXPECT_EQ(step(queue), "1.1 1.2");
}

TEST(EmbedQueue, PacksAtMostSoManySequences) {
  EmbedQueue queue(100, 2);
  queue.add(GenerationId{1}, 0, {1, 1, 1});
  EXPECT_EQ(step(queue), "1.0 1.1");
  EXPECT_EQ(step(queue), "1.2");
}

TEST(EmbedQueue, RequestsGiveInTurn) {
  EmbedQueue queue(4, 8);
  queue.add(GenerationId{1}, 0, {2, 2, 2, 2, 2, 2});
  queue.add(GenerationId{2}, 0, {2});
  EXPECT_EQ(step(queue), "1.0 2.0") << "a single text does not wait for a thousand";
}

TEST(EmbedQueue, ASequenceThatDidNotFitIsFirstInTheNextStep) {
  EmbedQueue queue(10, 8);
  queue.add(GenerationId{1}, 0, {3, 3, 3, 3, 3, 3, 3, 3});
  queue.add(GenerationId{2}, 0, {9});
  EXPECT_EQ(step(queue), "1.0 1.1 1.2");
  EXPECT_EQ(step(queue), "2.0");
  EXPECT_EQ(step(queue), "1.3 1.4 1.5");
}

TEST(EmbedQueue, AHigherPriorityGoesFirst) {
  EmbedQueue queue(4, 8);
  queue.add(GenerationId{1}, 0, {2, 2});
  queue.add(GenerationId{2}, 5, {2, 2});
  queue.add(GenerationId{3}, 5, {2});
  EXPECT_EQ(step(queue), "2.0 3.0");
  EXPECT_EQ(step(queue), "2.1 1.0");
}

TEST(EmbedQueue, WhatIsNotTakenIsPlannedAgain) {
  EmbedQueue queue(4, 8);
  queue.add(GenerationId{1}, 0, {2, 2, 2});
  EXPECT_EQ(text_of(queue.plan()), "1.0 1.1");
  EXPECT_EQ(text_of(queue.plan()), "1.0 1.1");
  queue.remove(GenerationId{1});
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.tokens(), 0U);
}

}  // namespace
}  // namespace autoglm::engine
