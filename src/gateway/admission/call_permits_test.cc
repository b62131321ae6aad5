#include "gateway/admission/call_permits.h"

#include <gtest/gtest.h>

#include <vector>

namespace autoglm::gateway {
namespace {

struct Noting final : Permit {
  explicit Noting(std::vector<Usage>& all) : notes(all) {}
  void settle(const Usage& used) override { notes.push_back(used); }
  std::vector<Usage>& notes;
};

/// What a permit is told of a call of 100 + 50 estimated tokens with these batches.
Usage settled(const std::vector<EventBatch>& batches) {
  std::vector<Usage> notes;
  {
    CallPermits permits;
    permits.add(std::make_unique<Noting>(notes));
    permits.begin({.prompt = 100, .bounded = 50});
    for (const EventBatch& batch : batches) permits.note(batch);
  }
  EXPECT_EQ(notes.size(), 1U);
  return notes.at(0);
}

EventBatch text() { return {.events = {{.text = "word"}}}; }
EventBatch end(Usage usage) { return {.usage = usage}; }

TEST(CallPermits, BelieveTheUsageOfAnAnswer) {
  const Usage used = settled({text(), end({.prompt_tokens = 7, .completion_tokens = 0})});
  EXPECT_EQ(used.prompt_tokens, 7U);
  EXPECT_EQ(used.completion_tokens, 0U) << "a prompt that was only read";
}

TEST(CallPermits, AServerThatReportsNoPromptDoesNotMakeItFree) {
  const Usage used = settled({text(), end({.prompt_tokens = 0, .completion_tokens = 9})});
  EXPECT_EQ(used.prompt_tokens, 100U);
  EXPECT_EQ(used.completion_tokens, 9U);
}

TEST(CallPermits, AnAnswerThatNobodyCountedIsTakenToBeAsLongAsItMay) {
  EXPECT_EQ(settled({end({})}).completion_tokens, 50U);
  EXPECT_EQ(settled({text(), text(), end({})}).completion_tokens, 2U) << "what was seen counts";
}

TEST(CallPermits, AClientThatLeavesIsTakenToHaveHadItsPromptRead) {
  EXPECT_EQ(settled({}).prompt_tokens, 100U);
  EXPECT_EQ(settled({text()}).completion_tokens, 1U);
}

TEST(CallPermits, TellOfTheFirstTokenOnce) {
  struct Counting final : Permit {
    explicit Counting(int& times) : count(times) {}
    void first_token() override { ++count; }
    int& count;
  };
  int count = 0;
  CallPermits permits;
  permits.add(std::make_unique<Counting>(count));
  permits.begin({});
  permits.note({});
  EXPECT_EQ(count, 0) << "a batch without events";
  permits.note(text());
  permits.note(text());
  permits.note(end({}));
  EXPECT_EQ(count, 1);
}

}  // namespace
}  // namespace autoglm::gateway
