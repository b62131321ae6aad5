#include "engine/testing/engine_fixture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace autoglm::engine {
namespace {

/// Every event of a generation, choice by choice.
using Transcript = std::vector<std::vector<TokenEvent>>;

Task<Transcript> transcribe(EngineFixture& engine, GenerateRequest work, Usage& usage) {
  co_await engine.loaded();
  Transcript transcript(work.choices());
  auto stream = co_await engine.open(std::move(work));
  EXPECT_TRUE(stream) << stream.error().message;
  while (stream) {
    auto batch = co_await (*stream)->next();
    EXPECT_TRUE(batch) << batch.error().message;
    if (!batch) break;
    for (TokenEvent& event : batch->events) transcript[event.choice].push_back(std::move(event));
    if (!batch->last()) continue;
    usage = *batch->usage;
    break;
  }
  co_return transcript;
}

/// Any generation can be resumed exactly after any of its tokens.
void expect_exact_resume(EngineFixture& engine, const GenerateRequest& work) {
  Usage usage;
  const Transcript whole = engine.get(transcribe(engine, work, usage));
  std::size_t longest = 0;
  for (const auto& events : whole) longest = std::max(longest, events.size());
  for (std::size_t cut = 0; cut <= longest; cut += 5) {
    GenerateRequest rest = work;
    std::vector<std::size_t> sent(whole.size());
    for (std::size_t i = 0; i < whole.size(); ++i) {
      sent[i] = std::min(cut + i, whole[i].size());  // choices are cut at different places
      auto& tokens = rest.resume.emplace_back();
      for (std::size_t k = 0; k < sent[i]; ++k)
        tokens.insert(tokens.end(), whole[i][k].tokens.begin(), whole[i][k].tokens.end());
    }
    Usage resumed_usage;
    const Transcript resumed = engine.get(transcribe(engine, rest, resumed_usage));
    EXPECT_EQ(resumed_usage.completion_tokens, usage.completion_tokens);
    EXPECT_EQ(resumed_usage.prompt_tokens, usage.prompt_tokens);
    for (std::size_t i = 0; i < whole.size(); ++i) {
      if (sent[i] == whole[i].size()) {  // only the finish event may have been lost
        ASSERT_EQ(resumed[i].size(), 1U);
        EXPECT_EQ(resumed[i][0].finish, whole[i].back().finish);
        EXPECT_TRUE(resumed[i][0].tokens.empty() && resumed[i][0].text.empty());
        continue;
      }
      ASSERT_EQ(resumed[i].size(), whole[i].size() - sent[i]) << "cut at " << cut;
      for (std::size_t k = 0; k < resumed[i].size(); ++k) {
        const TokenEvent& got = resumed[i][k];
        const TokenEvent& wanted = whole[i][sent[i] + k];
        EXPECT_EQ(got.index, wanted.index);
        EXPECT_EQ(got.tokens, wanted.tokens);
        EXPECT_EQ(got.text, wanted.text);
        EXPECT_EQ(got.finish, wanted.finish);
        ASSERT_EQ(got.logprobs.size(), wanted.logprobs.size());
        for (std::size_t l = 0; l < got.logprobs.size(); ++l) {
          EXPECT_EQ(got.logprobs[l].offset, wanted.logprobs[l].offset);
          EXPECT_NEAR(got.logprobs[l].chosen.logprob, wanted.logprobs[l].chosen.logprob, 1e-3);
        }
      }
    }
  }
}

void expect_exact_resume_of_all_kinds(EngineFixture& engine) {
  GenerateRequest work = ask("Once upon a time", 40);
  expect_exact_resume(engine, work);
  work.sampling.temperature = 0.9;
  work.sampling.top_p = 0.95;
  work.sampling.seed = 5;
  work.top_logprobs = 2;
  expect_exact_resume(engine, work);
  work.sampling.repetition_penalty = 1.3;
  work.sampling.frequency_penalty = 0.5;
  work.n = 3;
  expect_exact_resume(engine, work);
  work.stop.stop = {"a", "zz"};
  work.stop.min_tokens = 3;
  expect_exact_resume(engine, work);
}

TEST(Resume, IsExactOnTheFake) {
  FakeEngine fake;
  expect_exact_resume_of_all_kinds(*fake.fixture);
  GenerateRequest work = ask("Once", 30, 3);
  work.format = {OutputFormat::Kind::kGrammar, "abcdef"};
  expect_exact_resume(*fake.fixture, work);
}

TEST(Resume, IsExactOnTheTinyModel) {
  const auto engine = make_tiny(2048);
  expect_exact_resume_of_all_kinds(*engine);
  GenerateRequest work = ask("Once", 60, 3);
  work.format = {OutputFormat::Kind::kJsonObject, ""};
  expect_exact_resume(*engine, work);
}

TEST(Resume, RefusesWhatCannotHaveBeen) {
  FakeEngine fake;
  const auto refusal = [&fake](std::vector<std::vector<TokenId>> tokens,
                               const std::function<void(GenerateRequest&)>& change) {
    GenerateRequest work = ask("Once", 4);
    work.resume = std::move(tokens);
    change(work);
    const auto outcome = fake.fixture->run(work);
    return outcome.error ? outcome.error->message : std::string();
  };
  const auto nothing = [](GenerateRequest&) {};
  EXPECT_NE(refusal({{1}, {2}}, nothing).find("a list for each of 1 choices, got 2"), std::string::npos);
  EXPECT_NE(refusal({{1, 999}}, nothing).find("999"), std::string::npos);
  EXPECT_NE(refusal({{97, 97, 97, 97, 97}}, nothing).find("behind the end of the answer, at 4"),
            std::string::npos);
  EXPECT_NE(
      refusal({{97, 98}}, [](GenerateRequest& work) { work.format = {OutputFormat::Kind::kGrammar, "a"}; })
          .find("at 1 what the requested format does not allow"),
      std::string::npos);
}

TEST(Engine, AnswersSeveralPromptsInOne) {
  FakeEngine fake;
  GenerateRequest both = ask("first", 12, 9);
  both.prompts.emplace_back(TextPrompt{"the second"});
  both.n = 2;
  both.echo = true;
  Usage usage;
  const Transcript transcript = fake.fixture->get(transcribe(*fake.fixture, both, usage));
  ASSERT_EQ(transcript.size(), 4U);
  EXPECT_EQ(usage.prompt_tokens, 15U);
  EXPECT_EQ(usage.completion_tokens, 48U);
  for (std::size_t i = 0; i < 4; ++i) {
    const std::string prompt = i < 2 ? "first" : "the second";
    EXPECT_TRUE(transcript[i].front().text.starts_with(prompt)) << transcript[i].front().text;
  }
  EXPECT_TRUE(fake.fixture->idle());
}

TEST(Engine, CountsOffsetsInThePromptsTextWithoutTheSpaceThatAVocabularyPutsBeforeIt) {
  for (const bool space_first : {false, true}) {
    FakeEngine fake({.space_first = space_first});
    GenerateRequest work = ask("abc", 2, 9);
    work.echo = true;
    work.prompt_logprobs = 0;
    work.top_logprobs = 0;
    Usage usage;
    const Transcript transcript = fake.fixture->get(transcribe(*fake.fixture, work, usage));
    std::vector<std::size_t> offsets;
    for (const TokenEvent& event : transcript.at(0)) {
      for (const GeneratedLogprob& token : event.prompt_logprobs) offsets.push_back(token.offset);
      for (const GeneratedLogprob& token : event.logprobs) offsets.push_back(token.offset);
    }
    EXPECT_EQ(offsets, space_first ? std::vector<std::size_t>({0, 0, 1, 2, 3, 4})
                                   : std::vector<std::size_t>({0, 1, 2, 3, 4}));
  }
}

/// Counts the existing samplers.
class CountedSampler final : public TokenSampler {
 public:
  struct Counts {
    int now = 0;
    int most = 0;
    int made = 0;
    int constrained = 0;
  };
  CountedSampler(Counts& counts, SamplerSetup setup) : counts_(counts) {
    counts_.most = std::max(counts_.most, ++counts_.now);
    ++counts_.made;
    counts_.constrained += setup.constraint ? 1 : 0;
    inner_ = make_token_sampler(std::move(setup));
  }
  ~CountedSampler() override { --counts_.now; }
  std::optional<TokenId> sample(std::span<float> logits, std::uint64_t index) override {
    return inner_->sample(logits, index);
  }
  void accept(TokenId token) override { inner_->accept(token); }

 private:
  Counts& counts_;
  std::unique_ptr<TokenSampler> inner_;
};

TEST(Engine, MakesSamplersAndConstraintsForChoicesThatRun) {
  CountedSampler::Counts counts;  // used by the engine's thread until that has ended
  {
    FakeEngine engine({.max_sequences = 4}, {}, [&counts](SamplerSetup setup) {
      return std::make_unique<CountedSampler>(counts, std::move(setup));
    });
    GenerateRequest work = ask("", 3, 7);
    work.prompts.clear();
    for (int i = 0; i < 20; ++i) work.prompts.emplace_back(TextPrompt{"prompt " + std::to_string(i)});
    work.n = 4;
    work.sampling.repetition_penalty = 1.1;
    work.format = {OutputFormat::Kind::kGrammar, "abc"};
    Usage usage;
    const Transcript transcript = engine.fixture->get(transcribe(*engine.fixture, work, usage));
    EXPECT_EQ(usage.completion_tokens, 20U * 4U * 3U);
    engine.fixture->end_engine();
    EXPECT_EQ(counts.now, 0);
  }
  EXPECT_EQ(counts.made, 80);
  EXPECT_EQ(counts.constrained, 80);
  EXPECT_LE(counts.most, 4);
}

TEST(Engine, ChoicesOfAPromptAreNoMoreThanRunAtATime) {
  FakeEngine engine({.max_sequences = 4}, {.max_waiting = 16});
  GenerateRequest work = ask("Hello", 3);
  work.n = 4;
  EXPECT_FALSE(engine.fixture->run(work).error);
  work.n = 5;
  const Outcome refused = engine.fixture->run(work);
  ASSERT_TRUE(refused.error);
  EXPECT_EQ(refused.error->param, "n");
  EXPECT_NE(refused.error->message.find("at most 4"), std::string::npos) << refused.error->message;
}

TEST(Engine, CountsWhatARequestMultipliesBeforeItIsMade) {
  FakeEngine engine({.max_sequences = 8}, {.max_waiting = 8});
  engine.fixture->run([](FakeEngine& e) -> Task<void> {
    co_await e.fixture->loaded();
    GenerateRequest many = ask("Hello", 3);
    many.n = 8;
    many.prompts = {TextPrompt{"a"}, TextPrompt{"b"}, TextPrompt{"c"}};
    const auto refused = co_await e.fixture->open(many);
    EXPECT_FALSE(refused);
    if (!refused) {
      EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
      EXPECT_EQ(refused.error().param, "n");
      EXPECT_NE(refused.error().message.find("24 answers"), std::string::npos) << refused.error().message;
    }
    many.prompts.pop_back();
    EXPECT_TRUE(co_await e.fixture->open(many));

    GenerateRequest large = ask("Hello", 3);
    large.format = {OutputFormat::Kind::kGrammar, std::string(std::size_t{60} << 20U, 'a')};
    large.n = 4;
    const auto too_large = co_await e.fixture->open(large);
    EXPECT_FALSE(too_large);
    if (!too_large) EXPECT_EQ(too_large.error().param, "n");

    GenerateRequest stops = ask("Hello", 3);
    stops.stop.stop = {std::string(20'000, 'a')};
    const auto long_stops = co_await e.fixture->open(stops);
    EXPECT_FALSE(long_stops);
    if (!long_stops) EXPECT_EQ(long_stops.error().param, "stop");
    stops.stop.stop.clear();
    stops.stop.stop_tokens.assign(2000, 1);
    const auto many_stops = co_await e.fixture->open(stops);
    EXPECT_FALSE(many_stops);
    if (!many_stops) EXPECT_EQ(many_stops.error().param, "stop_token_ids");
  }(engine));
  engine.fixture->run(EngineFixture::eventually([&engine] { return engine.fixture->idle(); }));
}

TEST(Engine, WhatAllRequestsHoldHasABoundToo) {
  constexpr std::size_t kLarge = std::size_t{100} << 20U;
  FakeEngine engine({.constraint_bytes = kLarge});
  engine.stepper->hold();
  engine.fixture->run([](FakeEngine& e) -> Task<void> {
    co_await e.fixture->loaded();
    GenerateRequest work = ask("Hello", 3);
    work.format = {OutputFormat::Kind::kGrammar, "abc"};  // for each request: the original and a copy
    std::vector<std::unique_ptr<EventStream>> streams;
    for (int i = 0; i < 2; ++i) streams.push_back((co_await e.fixture->open(work)).value());
    const auto refused = co_await e.fixture->open(work);
    EXPECT_FALSE(refused);
    if (!refused) EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
    if (!refused) EXPECT_TRUE(refused.error().retry_after);
    e.stepper->release();
    streams.clear();
    while (!(co_await e.fixture->open(work))) co_await yield_to_loop();  // their memory is given back
  }(engine));
  engine.fixture->run(EngineFixture::eventually([&engine] { return engine.fixture->idle(); }));
}

TEST(Engine, ReportsThePromptsLogprobsWhateverIsCached) {
  for (const bool tiny : {false, true}) {
    FakeEngine fake;
    const auto owned = tiny ? make_tiny(2048) : std::move(fake.fixture);
    EngineFixture& engine = *owned;
    GenerateRequest work = ask("The same words as before, and then some more of them.", 2);
    Usage usage;
    engine.get(transcribe(engine, work, usage));  // fills the cache
    work.prompt_logprobs = 3;
    work.stop.max_tokens = 0;
    const Transcript transcript = engine.get(transcribe(engine, work, usage));
    std::vector<GeneratedLogprob> reported;
    for (const TokenEvent& event : transcript[0])
      reported.insert(reported.end(), event.prompt_logprobs.begin(), event.prompt_logprobs.end());
    ASSERT_EQ(reported.size(), usage.prompt_tokens);
    EXPECT_TRUE(std::isnan(reported[0].chosen.logprob));
    EXPECT_EQ(usage.completion_tokens, 0U);
    for (std::size_t i = 1; i < reported.size(); ++i) {
      EXPECT_LE(reported[i].chosen.logprob, 0);
      ASSERT_EQ(reported[i].top.size(), 3U);
      EXPECT_LE(reported[i].chosen.logprob, reported[i].top[0].logprob + 1e-9);
      EXPECT_EQ(reported[i].chosen.rank == 1, reported[i].chosen.token == reported[i].top[0].token);
    }
  }
}

TEST(Engine, ReportsEachPromptsLogprobsWhatTheyBeginWithInCommon) {
  const std::string beginning(200, 'a');
  for (const bool tiny : {false, true}) {
    FakeEngine fake;
    const auto owned = tiny ? make_tiny(2048) : std::move(fake.fixture);
    EngineFixture& engine = *owned;
    GenerateRequest work = ask(beginning + "one", 1);
    work.prompts = {TextPrompt{beginning + "one"}, TextPrompt{beginning + "two"},
                    TextPrompt{beginning + "two"}};
    work.prompt_logprobs = 0;
    work.stop.max_tokens = 0;
    Usage usage;
    const Transcript transcript = engine.get(transcribe(engine, work, usage));
    ASSERT_EQ(transcript.size(), 3U);
    std::size_t tokens = 0;
    std::vector<std::string> texts(3);
    for (std::size_t i = 0; i < 3; ++i) {
      for (const TokenEvent& event : transcript[i]) {
        tokens += event.prompt_logprobs.size();
        for (const GeneratedLogprob& token : event.prompt_logprobs) texts[i] += token.chosen.bytes;
      }
    }
    EXPECT_EQ(tokens, usage.prompt_tokens);
    EXPECT_TRUE(texts[0].ends_with(beginning + "one")) << texts[0];
    EXPECT_TRUE(texts[1].ends_with(beginning + "two")) << texts[1];
    EXPECT_EQ(texts[1], texts[2]);
  }
}

}  // namespace
}  // namespace autoglm::engine
