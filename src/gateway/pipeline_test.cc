#include "gateway/pipeline.h"

#include "inference/testing/fake_endpoint.h"
#include "runtime/race.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <string>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

class PipelineTest : public ::testing::Test {
 protected:
  /// The text of a whole generation, or its error.
  static Task<Result<std::string>> text_of(const Pipeline& pipeline, InferenceRequest request) {
    auto answer = co_await pipeline.generate(std::make_unique<InferenceRequest>(std::move(request)), {});
    if (!answer) co_return fail(answer.error());
    std::string text;
    while (true) {
      auto batch = co_await answer->events->next();
      if (!batch) co_return fail(batch.error());
      for (const TokenEvent& event : batch->events) text += event.text;
      if (batch->last()) co_return text;
    }
  }

  Result<std::string> run(InferenceRequest request, CallTimeouts timeouts = {}) {
    const LiveDirectory models(
        1, std::make_shared<const ModelDirectory>(std::vector<ModelDirectory::Entry>{
               {"alpha", unowned(alpha_), timeouts}, {"beta", unowned(beta_), timeouts}}));
    const Pipeline pipeline(models);
    return run_task(loop_, text_of(pipeline, std::move(request)));
  }

  FakeEndpoint alpha_{"alpha"};
  FakeEndpoint beta_{"beta"};
  EventLoop loop_;
};

TEST_F(PipelineTest, UsesTheFirstModelWhenNoneIsNamed) {
  EXPECT_EQ(run({.id = "1"}).value(), "Hello world");
  ASSERT_EQ(alpha_.requests.size(), 1U);
  EXPECT_EQ(alpha_.requests[0]->model, "alpha");
  EXPECT_EQ(alpha_.requests[0]->id, "1");
}

TEST_F(PipelineTest, UsesTheModelThatIsNamed) {
  EXPECT_TRUE(run({.model = "beta"}).has_value());
  EXPECT_EQ(beta_.requests.size(), 1U);
  EXPECT_TRUE(alpha_.requests.empty());
}

TEST_F(PipelineTest, ListsTheKnownModelsForAnUnknownOne) {
  const auto result = run({.model = "gamma"});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(result.error().param, "model");
  EXPECT_NE(result.error().message.find("alpha, beta"), std::string::npos) << result.error().message;
}

TEST_F(PipelineTest, SaysHowToGetAModelWhenThereIsNone) {
  const LiveDirectory empty(1);
  const Pipeline pipeline(empty);
  const auto result = run_task(loop_, text_of(pipeline, {}));
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("MODEL_NAME"), std::string::npos);
}

TEST_F(PipelineTest, EndsAStreamThatStandsStillAndCancelsTheWork) {
  alpha_.hang_after_words = true;
  const auto result = run({.wire = {.stream = true}}, {.idle = 5ms});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kDeadlineExceeded);
  EXPECT_NE(result.error().message.find("stood still"), std::string::npos) << result.error().message;
  EXPECT_EQ(alpha_.open_streams, 0U);
  EXPECT_EQ(alpha_.cancelled_streams, 1U);
}

TEST_F(PipelineTest, AStreamThatWasEndedStaysOver) {
  alpha_.words.clear();
  alpha_.hang_after_words = true;
  const LiveDirectory models(1, std::make_shared<const ModelDirectory>(std::vector<ModelDirectory::Entry>{
                                    {"alpha", unowned(alpha_), {.first_token = 5ms}}}));
  const Pipeline pipeline(models);
  run_task(loop_, [](const Pipeline& of) -> Task<void> {
    auto answer = co_await of.generate(
        std::make_unique<InferenceRequest>(InferenceRequest{.wire = {.stream = true}}), {});
    EXPECT_TRUE(answer.has_value());
    if (!answer) co_return;
    for (int i = 0; i < 3; ++i) EXPECT_FALSE(co_await answer->events->next());
  }(pipeline));
}

TEST_F(PipelineTest, EndsAStreamWhoseFirstTokenDoesNotCome) {
  alpha_.words.clear();
  alpha_.hang_after_words = true;
  const auto result = run({.wire = {.stream = true}}, {.first_token = 5ms});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kDeadlineExceeded);
  EXPECT_NE(result.error().message.find("no token came"), std::string::npos) << result.error().message;
  EXPECT_EQ(alpha_.cancelled_streams, 1U);
}

TEST_F(PipelineTest, AnAnswerKeepsAModelThatIsTakenAwayUntilItEnds) {
  auto endpoint = std::make_shared<FakeEndpoint>("alpha");
  const std::weak_ptr<Endpoint> alive = endpoint;
  LiveDirectory models(1, std::make_shared<const ModelDirectory>(
                              std::vector<ModelDirectory::Entry>{{"alpha", std::move(endpoint), {}}}));
  const Pipeline pipeline(models);
  run_task(loop_,
           [](LiveDirectory& of, const Pipeline& through, const std::weak_ptr<Endpoint>& kept) -> Task<void> {
             auto answer = co_await through.generate(std::make_unique<InferenceRequest>(), {});
             EXPECT_TRUE(answer.has_value());
             if (!answer) co_return;
             of.set(std::make_shared<const ModelDirectory>(std::vector<ModelDirectory::Entry>()));
             of.refresh(0);
             std::string text;
             bool over = false;
             while (!over) {
               const auto batch = co_await answer->events->next();
               EXPECT_TRUE(batch.has_value() && !kept.expired());
               over = !batch || batch->last();
               if (batch && !batch->events.empty()) text += batch->events.front().text;
             }
             EXPECT_EQ(text, "Hello world");
             *answer = {};
             EXPECT_TRUE(kept.expired());
           }(models, pipeline, alive));
}

TEST_F(PipelineTest, BoundsAWholeAnswerFromBeginningToEnd) {
  alpha_.hang_after_words = true;
  const auto result = run({}, {.request = 5ms});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kDeadlineExceeded);
  EXPECT_NE(result.error().message.find("API_TIMEOUT"), std::string::npos) << result.error().message;
  EXPECT_EQ(alpha_.cancelled_streams, 1U);
}

TEST_F(PipelineTest, ACallWithoutAStreamIsAnsweredInKindByTheModelThatIsNamed) {
  const LiveDirectory models(1, std::make_shared<const ModelDirectory>(std::vector<ModelDirectory::Entry>{
                                    {"alpha", unowned(alpha_)}, {"beta", unowned(beta_)}}));
  const Pipeline pipeline(models);
  const auto tokens = run_task(loop_, pipeline.call("beta", TokenizeRequest{.prompt = TextPrompt{"Hi"}}, {}));
  EXPECT_EQ(tokens.value().tokens, (std::vector<TokenId>{1, 2, 3}));
  EXPECT_EQ(run_task(loop_, pipeline.call("", DetokenizeRequest{{4, 5}}, {})).value().text, "xx");
  EXPECT_EQ(run_task(loop_, pipeline.call("gamma", TokenizerInfoRequest(), {})).error().code,
            ErrorCode::kNotFound);
}

/// Notes the models that it was asked about, and how many of its permits are held.
class NotingCheck final : public AdmissionCheck {
 public:
  struct Notes {
    std::vector<std::string> models;
    int held = 0;
    std::optional<Error> refuse_with = std::nullopt;
    bool hang = false;
  };
  explicit NotingCheck(Notes& notes) : notes_(notes) {}

  Task<Result<std::unique_ptr<Permit>>> admit(const AdmissionFacts& facts) override {
    notes_.models.push_back(std::string(facts.model) + (facts.request == nullptr ? " call" : ""));
    if (notes_.hang) co_await sleep_for(1h);
    if (notes_.refuse_with) co_return fail(*notes_.refuse_with);
    struct Held final : Permit {
      explicit Held(int& held) : count(held) { ++count; }
      ~Held() override { --count; }
      int& count;
    };
    co_return std::make_unique<Held>(notes_.held);
  }

 private:
  Notes& notes_;
};

class AdmissionTest : public PipelineTest {
 protected:
  NotingCheck::Notes first_;
  NotingCheck::Notes second_;
  LiveDirectory models_{1, std::make_shared<const ModelDirectory>(std::vector<ModelDirectory::Entry>{
                               {"alpha", unowned(alpha_), {.request = 5ms}}})};
  Pipeline pipeline_{models_, [this] {
                       Pipeline::Checks checks;
                       checks.push_back(std::make_unique<NotingCheck>(first_));
                       checks.push_back(std::make_unique<NotingCheck>(second_));
                       return checks;
                     }()};
};

TEST_F(AdmissionTest, PermitsAreHeldUntilTheAnswerHasEnded) {
  auto answer = run_task(loop_, pipeline_.generate(std::make_unique<InferenceRequest>(), {}));
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(first_.held + second_.held, 2);
  EXPECT_EQ(first_.models, (std::vector<std::string>{"alpha"}));
  answer->events.reset();
  EXPECT_EQ(first_.held + second_.held, 0);
  EXPECT_TRUE(run_task(loop_, pipeline_.call("", DetokenizeRequest{{4}}, {})).has_value());
  EXPECT_EQ(second_.models, (std::vector<std::string>{"alpha", "alpha call"}));
  EXPECT_EQ(first_.held + second_.held, 0);
}

TEST_F(AdmissionTest, ARefusalReachesNoEndpointAndGivesBackWhatEarlierChecksHold) {
  second_.refuse_with = Error{.code = ErrorCode::kResourceExhausted, .message = "full"};
  EXPECT_EQ(run_task(loop_, text_of(pipeline_, {})).error().message, "full");
  EXPECT_EQ(run_task(loop_, pipeline_.call("", DetokenizeRequest{{4}}, {})).error().message, "full");
  EXPECT_EQ(first_.models.size(), 2U);
  EXPECT_EQ(first_.held, 0);
  EXPECT_TRUE(alpha_.requests.empty());
}

TEST_F(AdmissionTest, ChecksThatAreNotUsedAreNotAsked) {
  pipeline_.use_checks(false);
  EXPECT_TRUE(run_task(loop_, text_of(pipeline_, {})));
  EXPECT_TRUE(run_task(loop_, pipeline_.call("", DetokenizeRequest{{4}}, {})).has_value());
  EXPECT_TRUE(first_.models.empty());
}

TEST_F(AdmissionTest, ACheckWaitsNoLongerThanTheCall) {
  second_.hang = true;
  EXPECT_EQ(run_task(loop_, text_of(pipeline_, {})).error().code, ErrorCode::kDeadlineExceeded);
  EXPECT_EQ(first_.held, 0);
  EXPECT_TRUE(alpha_.requests.empty());
}

/// Notes what its permits are told; a commit waits, and fails, as it is told.
class SettlingCheck final : public AdmissionCheck {
 public:
  struct Notes {
    std::vector<Usage> settled;
    int committed = 0;
    bool hang = false;
    std::optional<Error> fail_with = std::nullopt;
    std::uint32_t end_at = 1000;  // tokens, which an answer does not get
  };
  explicit SettlingCheck(Notes& notes) : notes_(notes) {}

  Task<Result<std::unique_ptr<Permit>>> admit(const AdmissionFacts&) override {
    co_return std::make_unique<Noting>(notes_);
  }

 private:
  struct Noting final : Permit {
    explicit Noting(Notes& all) : notes(all) {}
    Result<void> watch(const Usage& used) override {
      if (used.completion_tokens >= notes.end_at) return fail(ErrorCode::kResourceExhausted, "no more");
      return {};
    }
    void settle(const Usage& used) override { notes.settled.push_back(used); }
    std::optional<Task<Result<void>>> commit() override { return wait(); }
    Task<Result<void>> wait() {
      if (notes.hang) co_await sleep_for(1h);
      if (notes.fail_with) co_return fail(*notes.fail_with);
      ++notes.committed;
      co_return Result<void>();
    }
    Notes& notes;
  };
  Notes& notes_;
};

class SettlementTest : public PipelineTest {
 protected:
  Task<Result<Pipeline::Answer>> ask() {
    GenerateRequest work{.prompts = {TokenPrompt{{1, 2, 3}}}};
    return pipeline_.generate(std::make_unique<InferenceRequest>(
                                  InferenceRequest{.work = std::move(work), .wire = {.stream = true}}),
                              {});
  }

  SettlingCheck::Notes notes_;
  LiveDirectory models_{1, std::make_shared<const ModelDirectory>(
                               std::vector<ModelDirectory::Entry>{{"alpha", unowned(alpha_), {}}})};
  Pipeline pipeline_{models_, [this] {
                       Pipeline::Checks checks;
                       checks.push_back(std::make_unique<SettlingCheck>(notes_));
                       return checks;
                     }()};
};

TEST_F(SettlementTest, APermitEndsAnAnswerAndWhatItHasUsedIsSettled) {
  notes_.end_at = 2;
  auto answer = run_task(loop_, ask());
  ASSERT_TRUE(answer);
  const auto next = [&] { return run_task(loop_, answer->events->next()); };
  EXPECT_TRUE(next());
  const auto ended = next();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().message, "no more");
  EXPECT_EQ(next().error().message, stream_is_over().message);
  answer->events.reset();
  ASSERT_EQ(notes_.settled.size(), 1U);
  EXPECT_EQ(notes_.settled[0].completion_tokens, 2U);
  EXPECT_EQ(notes_.committed, 0);
}

TEST_F(SettlementTest, AnAnswerThatIsCompleteIsNotEnded) {
  notes_.end_at = 0;
  alpha_.words.clear();
  auto answer = run_task(loop_, ask());
  EXPECT_TRUE(run_task(loop_, answer->events->next())->last());
  EXPECT_EQ(notes_.committed, 1);
}

TEST_F(SettlementTest, AnAnswersUsageIsSettledOnceAndCommittedBeforeItsEnd) {
  notes_.hang = true;
  auto answer = run_task(loop_, ask());
  ASSERT_TRUE(answer);
  const auto next = [&] { return answer->events->next(); };
  EventBatch batch;
  // The last batch is not handed on before the commit; a wait for it may be given up and taken up again.
  const auto until_last = [&]() -> Task<bool> {
    while (!batch.last()) {
      auto more = co_await with_deadline(Deadline::after(5ms), next(), "the next batch");
      if (!more) co_return false;
      batch = std::move(*more);
    }
    co_return true;
  };
  EXPECT_FALSE(run_task(loop_, until_last()));
  EXPECT_EQ(notes_.settled.size(), 1U);
  notes_.hang = false;
  EXPECT_TRUE(run_task(loop_, until_last()));
  EXPECT_EQ(batch.usage->completion_tokens, notes_.settled.at(0).completion_tokens);
  EXPECT_EQ(notes_.committed, 1);
  answer->events.reset();
  EXPECT_EQ(notes_.settled.size(), 1U);
}

TEST_F(SettlementTest, AnAnswerThatIsNotCommittedFails) {
  notes_.fail_with = Error{.code = ErrorCode::kUnavailable, .message = "the disk is full"};
  const auto text = run_task(loop_, text_of(pipeline_, {}));
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().message, "the disk is full");
  EXPECT_EQ(notes_.settled.size(), 1U);
}

TEST_F(SettlementTest, AClientThatLeavesIsChargedForItsPromptAndWhatItGot) {
  auto answer = run_task(loop_, ask());
  ASSERT_TRUE(answer);
  ASSERT_TRUE(run_task(loop_, answer->events->next()));
  answer->events.reset();
  ASSERT_EQ(notes_.settled.size(), 1U);
  EXPECT_EQ(notes_.settled[0].prompt_tokens, 3U);
  EXPECT_GE(notes_.settled[0].completion_tokens, 1U);
  EXPECT_EQ(notes_.committed, 0);
}

TEST_F(SettlementTest, ACallWithoutAStreamIsSettled) {
  EXPECT_TRUE(run_task(loop_, pipeline_.call("", DetokenizeRequest{{4}}, {})).has_value());
  EXPECT_EQ(notes_.settled.size(), 1U);
}

TEST_F(SettlementTest, ATimeOfTheCallersOwnDoesNotMakeWorkFree) {
  alpha_.words.clear();
  alpha_.hang_after_words = true;
  CallContext context;
  context.deadline = Deadline::after(5ms);
  auto answer = run_task(loop_, pipeline_.generate(std::make_unique<InferenceRequest>(), std::move(context)));
  ASSERT_TRUE(answer);
  EXPECT_FALSE(run_task(loop_, answer->events->next()));
  answer->events.reset();
  EXPECT_EQ(notes_.settled.size(), 1U);
}

TEST_F(SettlementTest, WhatNoEndpointWorkedForIsNotSettled) {
  alpha_.refuse_with = Error{.code = ErrorCode::kUnavailable, .message = "no"};
  EXPECT_FALSE(run_task(loop_, ask()));
  alpha_.refuse_with.reset();
  alpha_.words.clear();
  alpha_.fail_after_words = Error{.code = ErrorCode::kBadGateway, .message = "broken"};
  EXPECT_FALSE(run_task(loop_, text_of(pipeline_, {})));
  EXPECT_TRUE(notes_.settled.empty());
}

TEST_F(PipelineTest, BoundsACallWithoutAStream) {
  alpha_.hang_calls = true;
  const LiveDirectory models(1, std::make_shared<const ModelDirectory>(std::vector<ModelDirectory::Entry>{
                                    {"alpha", unowned(alpha_), {.request = 5ms}}}));
  const Pipeline pipeline(models);
  const auto result = run_task(loop_, pipeline.call("", DetokenizeRequest{{4}}, {}));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kDeadlineExceeded);
  EXPECT_NE(result.error().message.find("API_TIMEOUT"), std::string::npos) << result.error().message;
}

TEST_F(PipelineTest, PassesARefusalOn) {
  alpha_.refuse_with = Error{.code = ErrorCode::kResourceExhausted, .message = "full"};
  EXPECT_EQ(run({}).error().code, ErrorCode::kResourceExhausted);
}

}  // namespace
}  // namespace autoglm::gateway
