#include "engine/testing/engine_fixture.h"
#include "engine/testing/fake_embedder.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>

namespace autoglm::engine {
namespace {

EmbedRequest embedding_of(std::vector<std::string> texts) {
  EmbedRequest work;
  for (std::string& text : texts) work.inputs.emplace_back(TextPrompt{std::move(text)});
  return work;
}

/// An engine whose model makes vectors, or ranks, called from one loop.
class EmbedWorkerTest : public ::testing::Test {
 public:
  void begin(ModelTask task = ModelTask::kEmbed, EngineConfig config = {.max_batch = 16}) {
    begin(make_fake_embedding_backend(task), std::move(config));
  }
  void begin(Backend backend, EngineConfig config = {.max_batch = 16}) {
    embedder_ = &dynamic_cast<FakeEmbedder&>(*backend.embedder);
    fixture_ = std::make_unique<EngineFixture>(std::move(config), loader_of(std::move(backend)));
    fixture_->run(fixture_->loaded());
  }

  Task<Result<EventBatch>> ask(Work work, CallContext context = {}) {
    auto request = std::make_shared<const InferenceRequest>(
        InferenceRequest{.id = "1", .model = "m", .work = std::move(work)});
    auto stream = co_await fixture_->engine().generate(std::move(request), context);
    if (!stream) co_return fail(stream.error());
    co_return co_await (*stream)->next();
  }
  Result<EventBatch> run(Work work) { return fixture_->get(ask(std::move(work))); }
  std::vector<std::vector<float>> vectors(EmbedRequest work) {
    const auto batch = run(std::move(work));
    EXPECT_TRUE(batch) << batch.error().message;
    return batch ? std::get<EmbedResult>(*batch->answer).vectors : std::vector<std::vector<float>>();
  }

  FakeEmbedder* embedder_ = nullptr;
  std::unique_ptr<EngineFixture> fixture_;
};

TEST_F(EmbedWorkerTest, EachTextBecomesAVectorOfLengthOne) {
  begin();
  const auto made = vectors(embedding_of({"aaa", "aaabbbb"}));
  ASSERT_EQ(made.size(), 2U);
  EXPECT_EQ(made[0], (std::vector<float>{1, 0, 0, 0}));
  EXPECT_FLOAT_EQ(made[1][0], 0.6F);
  EXPECT_FLOAT_EQ(made[1][1], 0.8F);
}

TEST_F(EmbedWorkerTest, VectorsStayAsTheyAreWhereThatIsAskedFor) {
  begin();
  EmbedRequest work = embedding_of({"aab"});
  work.normalized = false;
  EXPECT_EQ(vectors(work)[0], (std::vector<float>{2, 1, 0, 0}));
}

TEST_F(EmbedWorkerTest, FewerDimensionsAreTheFirstOnesScaledAnew) {
  begin();
  EmbedRequest work = embedding_of({"aaabbbbccc"});
  work.dimensions = 2;
  const auto made = vectors(work);
  ASSERT_EQ(made[0].size(), 2U);
  EXPECT_FLOAT_EQ(made[0][0], 0.6F);
  work.dimensions = 5;
  const auto refused = run(work);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().param, "dimensions");
}

TEST_F(EmbedWorkerTest, UsageCountsTheTokensOfAllTexts) {
  begin();
  const auto batch = run(embedding_of({"aaa", "bb"}));
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->usage->prompt_tokens, 5U);
  EXPECT_EQ(batch->usage->completion_tokens, 0U);
}

TEST_F(EmbedWorkerTest, TokensAreTakenAsTheyAre) {
  begin();
  EmbedRequest work;
  work.inputs = {TokenPrompt{{'b', 'b'}}};
  EXPECT_EQ(vectors(work)[0], (std::vector<float>{0, 1, 0, 0}));
  work.inputs = {TokenPrompt{{999}}};
  EXPECT_EQ(run(work).error().param, "input");
}

TEST_F(EmbedWorkerTest, AStepPacksTheTextsOfSeveralRequests) {
  begin();
  embedder_->hold();
  std::vector<Result<EventBatch>> answers;
  fixture_->run([](EmbedWorkerTest& self, std::vector<Result<EventBatch>>& out) -> Task<void> {
    Scope scope;
    const auto one = [](EmbedWorkerTest& test, std::vector<Result<EventBatch>>& into,
                        EmbedRequest work) -> Task<void> {
      into.push_back(co_await test.ask(std::move(work)));
    };
    scope.spawn(one(self, out, embedding_of({"a"})));
    while (self.fixture_->engine().load().running != 1) co_await sleep_for(std::chrono::milliseconds(1));
    scope.spawn(one(self, out, embedding_of({"aa", "aa", "aa"})));
    scope.spawn(one(self, out, embedding_of({"bb", "bb"})));
    while (self.fixture_->engine().load().waiting != 2) co_await sleep_for(std::chrono::milliseconds(1));
    self.embedder_->release();
    co_await scope.join();
  }(*this, answers));
  EXPECT_EQ(embedder_->steps(), (std::vector<std::size_t>{1, 5}));
  ASSERT_EQ(answers.size(), 3U);
  for (const auto& answer : answers) EXPECT_TRUE(answer);
}

TEST_F(EmbedWorkerTest, ATextThatIsTooLongIsNamed) {
  begin();
  const auto refused = run(embedding_of({"a", std::string(33, 'a')}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().param, "input[1]");
  EXPECT_EQ(refused.error().reason, "context_length_exceeded");
  EmbedRequest cut = embedding_of({std::string(20, 'a') + std::string(20, 'b')});
  cut.truncates = true;
  EXPECT_FLOAT_EQ(vectors(cut)[0][0] / vectors(cut)[0][1], 20.0F / 12.0F);
  EXPECT_EQ(run(embedding_of({""})).error().param, "input");
}

TEST_F(EmbedWorkerTest, ARankingModelScoresEachDocument) {
  begin(ModelTask::kRank);
  const auto batch = run(ScoreRequest{.queries = {"a"}, .documents = {"aa", "bb"}});
  ASSERT_TRUE(batch) << batch.error().message;
  const auto& scores = std::get<ScoreResult>(*batch->answer).scores;
  ASSERT_EQ(scores.size(), 2U);
  EXPECT_FLOAT_EQ(static_cast<float>(scores[0]), 0.75F);  // "a|aa"
  EXPECT_FLOAT_EQ(static_cast<float>(scores[1]), 0.25F);
  EXPECT_EQ(run(embedding_of({"a"})).error().reason, "wrong_task");
}

TEST_F(EmbedWorkerTest, ALongDocumentLosesItsEndAndNotThePairs) {
  begin(ModelTask::kRank);
  ScoreRequest work{.queries = {"a"}, .documents = {std::string(50, 'b')}};
  EXPECT_EQ(run(work).error().param, "documents");
  work.truncates = true;
  EXPECT_EQ(run(work)->usage->prompt_tokens, 32U);
}

TEST_F(EmbedWorkerTest, AQueryThatLeavesNoRoomIsRefused) {
  begin(ModelTask::kRank);
  const ScoreRequest work{.queries = {std::string(32, 'a')}, .documents = {"b", "b"}, .truncates = true};
  EXPECT_EQ(run(work).error().param, "query");
}

TEST_F(EmbedWorkerTest, AQueryIsReadOnceForAllItsDocuments) {
  std::atomic<int> read{0};
  Backend backend = make_fake_embedding_backend(ModelTask::kRank);
  backend.vocabulary = std::make_shared<const FakeVocabulary>(
      FakeOptions{.longest_token = 1, .on_tokenize = [&read] { ++read; }});
  begin(std::move(backend));
  ASSERT_TRUE(run(ScoreRequest{.queries = {"a"}, .documents = std::vector<std::string>(50, "b")}));
  EXPECT_EQ(read, 51);
}

TEST_F(EmbedWorkerTest, ATemplateKeepsItsEnd) {
  Backend backend = make_fake_embedding_backend(ModelTask::kRank);
  backend.pairs = {.before = {}, .between = {}, .after = {}, .text = "<{query}>{document}<|end|>"};
  begin(std::move(backend));
  const auto whole = run(ScoreRequest{.queries = {"{document}"}, .documents = {"a"}});
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->usage->prompt_tokens, 14U) << "what looks like a place in the query stays text";
  const auto cut =
      run(ScoreRequest{.queries = {"q"}, .documents = {std::string(50, 'a')}, .truncates = true});
  ASSERT_TRUE(cut);
  EXPECT_FLOAT_EQ(static_cast<float>(std::get<ScoreResult>(*cut->answer).scores[0]), 28.0F / 32.0F);
}

TEST_F(EmbedWorkerTest, WhatIsNoNumberIsAnError) {
  begin();
  embedder_->give_nan();
  const auto failed = run(embedding_of({"a", "b"}));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().reason, "engine_failed");
  EXPECT_EQ(vectors(embedding_of({"a"})).size(), 1U);
  EXPECT_TRUE(fixture_->idle());
}

TEST_F(EmbedWorkerTest, AnEmbeddingModelScoresByTheCosine) {
  begin();
  const auto batch = run(ScoreRequest{.queries = {"ab", "a"}, .documents = {"ba", "b"}});
  ASSERT_TRUE(batch);
  const auto& scores = std::get<ScoreResult>(*batch->answer).scores;
  EXPECT_NEAR(scores[0], 1.0, 1e-6);
  EXPECT_NEAR(scores[1], 0.0, 1e-6);
}

TEST_F(EmbedWorkerTest, ItGeneratesNoText) {
  begin();
  const auto refused = run(engine::ask("Hi", 5));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "wrong_task");
}

TEST_F(EmbedWorkerTest, ATextModelMakesNoVectors) {
  FakeEngine text;
  text.fixture->run(text.fixture->loaded());
  const auto request = std::make_shared<const InferenceRequest>(
      InferenceRequest{.id = "1", .model = "m", .work = embedding_of({"a"})});
  const CallContext context;
  const auto refused = text.fixture->get(text.fixture->engine().generate(request, context));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("engine.task: embed"), std::string::npos);
}

TEST_F(EmbedWorkerTest, ARequestThatIsGivenUpEndsItsStepAndFreesItsPlace) {
  begin();
  embedder_->hold();
  fixture_->run([](EmbedWorkerTest& self) -> Task<void> {
    auto request = std::make_shared<const InferenceRequest>(
        InferenceRequest{.id = "1", .model = "m", .work = embedding_of({"a"})});
    const CallContext context;
    auto stream = co_await self.fixture_->engine().generate(std::move(request), context);
    EXPECT_TRUE(stream);
    self.embedder_->wait_until_held();
    stream->reset();
    co_await EngineFixture::eventually([&] { return self.fixture_->idle(); });
  }(*this));
  embedder_->release();
  EXPECT_TRUE(embedder_->steps().empty());
  EXPECT_EQ(vectors(embedding_of({"a"})).size(), 1U);
}

TEST_F(EmbedWorkerTest, AStepThatFailsIsTriedThreeTimes) {
  begin();
  embedder_->fail_steps(2);
  EXPECT_EQ(vectors(embedding_of({"a"})).size(), 1U);
  embedder_->fail_steps(3);
  const auto failed = run(embedding_of({"a"}));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().reason, "engine_failed");
  EXPECT_EQ(vectors(embedding_of({"a"})).size(), 1U);
  EXPECT_TRUE(fixture_->idle());
}

TEST_F(EmbedWorkerTest, MoreRequestsThanMayWaitAreToldToComeLater) {
  begin(ModelTask::kEmbed, {.max_sequences = 1, .max_waiting = 0, .max_batch = 16});
  embedder_->hold();
  fixture_->run([](EmbedWorkerTest& self) -> Task<void> {
    auto request = std::make_shared<const InferenceRequest>(
        InferenceRequest{.id = "1", .model = "m", .work = embedding_of({"a"})});
    const CallContext context;
    auto first = co_await self.fixture_->engine().generate(request, context);
    EXPECT_TRUE(first);
    auto second = co_await self.fixture_->engine().generate(request, context);
    EXPECT_FALSE(second);
    if (!second) EXPECT_EQ(second.error().code, ErrorCode::kResourceExhausted);
    self.embedder_->release();
    EXPECT_TRUE(co_await (*first)->next());
  }(*this));
}

TEST_F(EmbedWorkerTest, ItsEndFailsWhatIsUnderWay) {
  begin();
  embedder_->hold();
  fixture_->run([](EmbedWorkerTest& self) -> Task<void> {
    auto request = std::make_shared<const InferenceRequest>(
        InferenceRequest{.id = "1", .model = "m", .work = embedding_of({"a"})});
    const CallContext context;
    auto stream = co_await self.fixture_->engine().generate(request, context);
    self.embedder_->wait_until_held();
    self.fixture_->end_engine();
    const auto batch = co_await (*stream)->next();
    EXPECT_FALSE(batch);
    if (!batch) EXPECT_EQ(batch.error().code, ErrorCode::kUnavailable);
  }(*this));
}

}  // namespace
}  // namespace autoglm::engine
