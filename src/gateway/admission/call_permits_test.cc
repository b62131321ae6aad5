#include "gateway/admission/call_permits.h"

#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <new>
#include <string>
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
    for (const EventBatch& batch : batches) EXPECT_TRUE(permits.note(batch));
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

struct Counting final : Permit {
  explicit Counting(int& times) : count(times) {}
  void first_token() override { ++count; }
  int& count;
};

TEST(CallPermits, TellOfTheFirstTokenOnce) {
  int count = 0;
  CallPermits permits;
  permits.add(std::make_unique<Counting>(count));
  permits.begin({});
  EXPECT_TRUE(permits.note({}));
  EXPECT_EQ(count, 0) << "a batch without events";
  EXPECT_TRUE(permits.note(text()));
  EXPECT_TRUE(permits.note(text()));
  EXPECT_TRUE(permits.note(end({})));
  EXPECT_EQ(count, 1);
}

TEST(CallPermits, AnAnswerThatIsPassedOnAsItIsHasAFirstToken) {
  int count = 0;
  CallPermits permits;
  permits.add(std::make_unique<Counting>(count));
  permits.begin({});
  EXPECT_TRUE(permits.note({.raw = "data: {}"}));
  EXPECT_EQ(count, 1);
}

TEST(CallPermits, AnAnswerThatIsNobodysWorkHasNoFirstToken) {
  int count = 0;
  CallPermits permits;
  permits.add(std::make_unique<Counting>(count));
  permits.begin({});
  permits.forget();
  EXPECT_TRUE(permits.note(text()));
  EXPECT_TRUE(permits.note(end({})));
  EXPECT_EQ(count, 0);
}

/// Allows three tokens, and notes the order of what it is told.
struct Strict final : Permit {
  explicit Strict(std::string& all) : told(all) {}
  Result<void> watch(const Usage& used) override {
    if (used.completion_tokens > 3) return fail(ErrorCode::kResourceExhausted, "no more");
    return {};
  }
  void settle(const Usage& used) override { told += "settled " + std::to_string(used.completion_tokens); }
  std::optional<Task<Result<void>>> commit() override {
    told += ", committed";
    return std::nullopt;
  }
  void closed() override { told += ", closed"; }
  std::string& told;
};

TEST(CallPermits, APermitMayEndAnAnswerAndIsToldWhatWasUsed) {
  std::string told;
  {
    CallPermits permits;
    permits.add(std::make_unique<Strict>(told));
    permits.begin({.prompt = 100, .bounded = 50});
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(permits.note(text()));
    EXPECT_EQ(permits.note(text()).error().message, "no more");
  }
  EXPECT_EQ(told, "settled 4");
}

TEST(CallPermits, APermitWithoutMemoryKeepsNothingFromTheOthers) {
  struct Poor final : Permit {
    void settle(const Usage&) override { throw std::bad_alloc(); }
  };
  std::vector<Usage> notes;
  {
    CallPermits permits;
    permits.add(std::make_unique<Poor>());
    permits.add(std::make_unique<Noting>(notes));
    permits.begin({.prompt = 100});
  }
  EXPECT_EQ(notes.size(), 1U);
}

/// What it has to do besides takes a while.
struct Slow final : Permit {
  explicit Slow(std::string& all) : told(all) {}
  std::optional<Task<Result<void>>> commit() override {
    told += ", counted";
    return write(told);
  }
  static Task<Result<void>> write(std::string& told) {
    told += ", written";
    co_return Result<void>();
  }
  std::string& told;
};

TEST(CallPermits, AreClosedAsSoonAsAllHaveCounted) {
  std::string told;
  EventLoop loop;
  {
    CallPermits permits;
    permits.add(std::make_unique<Slow>(told));
    permits.add(std::make_unique<Strict>(told));
    permits.begin({.prompt = 100, .bounded = 50});
    EXPECT_TRUE(permits.note(text()));
    EXPECT_TRUE(run_task(loop, permits.close()));
  }
  EXPECT_EQ(told, "settled 1, counted, committed, closed, written");
}

}  // namespace
}  // namespace autoglm::gateway
