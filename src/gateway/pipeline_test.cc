#include "gateway/pipeline.h"

#include "inference/testing/fake_endpoint.h"
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
             answer->events.reset();
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

TEST_F(PipelineTest, PassesARefusalOn) {
  alpha_.refuse_with = Error{.code = ErrorCode::kResourceExhausted, .message = "full"};
  EXPECT_EQ(run({}).error().code, ErrorCode::kResourceExhausted);
}

}  // namespace
}  // namespace autoglm::gateway
