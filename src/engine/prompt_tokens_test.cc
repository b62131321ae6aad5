// What a request asks of its prompt and its tokens, from the request's fields to the text.
#include "engine/testing/engine_fixture.h"

#include <gtest/gtest.h>

#include <cmath>

namespace autoglm::engine {
namespace {

GenerateRequest behind(Prompt prompt, std::uint32_t max_tokens = 12) {
  GenerateRequest work = ask("", max_tokens);
  work.prompts = {std::move(prompt)};
  return work;
}

/// The logprobs of the prompt of `work`.
std::vector<GeneratedLogprob> prompt_of(EngineFixture& engine, GenerateRequest work) {
  return engine.get([](EngineFixture& fixture, GenerateRequest one) -> Task<std::vector<GeneratedLogprob>> {
    co_await fixture.loaded();
    std::vector<GeneratedLogprob> all;
    auto stream = co_await fixture.open(std::move(one));
    EXPECT_TRUE(stream) << stream.error().message;
    while (stream) {
      auto batch = co_await (*stream)->next();
      if (!batch) break;
      for (const TokenEvent& event : batch->events)
        all.insert(all.end(), event.prompt_logprobs.begin(), event.prompt_logprobs.end());
      if (batch->last()) break;
    }
    co_return all;
  }(engine, std::move(work)));
}

std::string param_of(const Outcome& outcome) { return outcome.error ? outcome.error->param : "none"; }

TEST(PromptTokens, SpecialTokensOfAPromptAreTokensUnlessTheyAreToBeText) {
  FakeEngine fake;
  const auto length = [&](const char* text, bool parse_special) {
    return fake.fixture->run(behind(TextPrompt{.text = text, .parse_special = parse_special}))
        .usage.prompt_tokens;
  };
  EXPECT_EQ(length("a<|end|>b", true), 3U);
  EXPECT_EQ(length("a<|end|>b", false), 9U);
}

TEST(PromptTokens, EchoReportsThePromptsTokensWhereTheyStandInIt) {
  FakeEngine fake;
  GenerateRequest work = behind(TextPrompt{"a<|end|>b"}, 1);
  work.echo = true;
  work.top_logprobs = work.prompt_logprobs = 0;
  const auto tokens = prompt_of(*fake.fixture, work);
  ASSERT_EQ(tokens.size(), 3U);
  EXPECT_EQ(tokens[1].chosen.bytes, "<|end|>");
  EXPECT_EQ(tokens[1].offset, 1U);
  EXPECT_EQ(tokens[2].offset, 8U);
  // The only token of a prompt is reported, too.
  work.prompts = {TextPrompt{"a"}};
  const auto one = prompt_of(*fake.fixture, work);
  ASSERT_EQ(one.size(), 1U);
  EXPECT_EQ(one[0].chosen.bytes, "a");
  EXPECT_TRUE(std::isnan(one[0].chosen.logprob));
}

TEST(PromptTokens, APromptIsCutToItsEndOrItsBeginning) {
  FakeEngine fake;
  const auto cut = [&](std::int64_t tokens, bool keeps_beginning) {
    GenerateRequest work = behind(TextPrompt{"0123456789"});
    work.truncation = Truncation{.tokens = tokens, .keeps_beginning = keeps_beginning};
    return fake.fixture->run(work);
  };
  const auto whole = [&](const char* text) { return fake.fixture->run(behind(TextPrompt{text})); };
  EXPECT_EQ(cut(4, false).texts, whole("6789").texts);
  EXPECT_EQ(cut(4, false).usage.prompt_tokens, 4U);
  EXPECT_EQ(cut(4, true).texts, whole("0123").texts);
  EXPECT_EQ(cut(40, false).texts, whole("0123456789").texts);
}

TEST(PromptTokens, APromptThatIsTooLongIsCutToWhatTheAnswerLeaves) {
  FakeEngine fake({.context = 64});
  GenerateRequest work = behind(TextPrompt{std::string(1000, 'x')}, 10);
  const Outcome refused = fake.fixture->run(work);
  ASSERT_TRUE(refused.error);
  EXPECT_EQ(refused.error->reason, "context_length_exceeded");
  EXPECT_TRUE(
      refused.error->message.starts_with("This model's maximum context length is 64 tokens. However, you "
                                         "requested 1010 tokens (1000 in the prompt, "
                                         "10 in the completion)."))
      << refused.error->message;
  work.truncation = Truncation{};
  const Outcome cut = fake.fixture->run(work);
  EXPECT_FALSE(cut.error);
  EXPECT_EQ(cut.usage.prompt_tokens, 54U);
  // The echo is the truncated prompt.
  work.echo = true;
  EXPECT_TRUE(fake.fixture->run(work).texts.at(0).starts_with(std::string(54, 'x')));
  EXPECT_EQ(fake.fixture->run(work).texts.at(0).size(), 64U);
}

TEST(PromptTokens, HowLongTheyTakeIsKnownByTheirText) {
  const auto of = [](std::size_t bytes) { return time_of(Prompt(TextPrompt{std::string(bytes, 'x')})); };
  EXPECT_EQ(of(512), PreparationTime::kNone);
  EXPECT_EQ(of(513), PreparationTime::kShort);
  EXPECT_EQ(of(std::size_t{32} << 10U), PreparationTime::kShort);
  EXPECT_EQ(of((std::size_t{32} << 10U) + 1), PreparationTime::kLong) << "it leaves a thread to others";
}

TEST(PromptTokens, ASuffixStandsBehindTheGap) {
  FakeEngine fake({.infills = true});
  const auto filled = fake.fixture->run(behind(TextPrompt{.text = "a<|end|>", .suffix = "b"}));
  std::vector<TokenId> tokens = {1, 'a'};
  for (const char c : std::string("<|end|>")) tokens.push_back(c);
  for (const TokenId token : {2, int{'b'}, 3}) tokens.push_back(token);
  EXPECT_EQ(filled.usage.prompt_tokens, tokens.size());
  EXPECT_EQ(filled.texts, fake.fixture->run(behind(TokenPrompt{tokens})).texts);
  FakeEngine without;
  EXPECT_EQ(param_of(without.fixture->run(behind(TextPrompt{.text = "a", .suffix = "b"}))), "suffix");
}

TEST(Engine, OnlyAllowedTokensAreChosen) {
  FakeEngine fake;
  GenerateRequest work = ask("Once", 20, 3);
  work.sampling.allowed_tokens = {'x', 'y'};
  const std::string text = fake.fixture->run(work).texts.at(0);
  EXPECT_EQ(text.size(), 20U);
  EXPECT_EQ(text.find_first_not_of("xy"), std::string::npos) << text;
  work.sampling.allowed_tokens = {'x', 99999};
  EXPECT_EQ(param_of(fake.fixture->run(work)), "allowed_token_ids");
  work.sampling.allowed_tokens.assign(FakeVocabulary::kSize + 1, 'x');
  EXPECT_EQ(param_of(fake.fixture->run(work)), "allowed_token_ids") << "one of them twice";
  // A format that allows none of them is a dead end, and no other token.
  work.sampling.allowed_tokens = {'x'};
  work.format = {OutputFormat::Kind::kGrammar, "abc"};
  EXPECT_EQ(param_of(fake.fixture->run(work)), "allowed_token_ids");
  work.sampling.temperature = 0;
  EXPECT_EQ(param_of(fake.fixture->run(work)), "allowed_token_ids");
}

TEST(Engine, BadWordsDoNotCome) {
  FakeEngine fake;
  GenerateRequest work = ask("Once", 20);
  for (int i = 0; i < 5; ++i) {
    const std::string text = fake.fixture->run(work).texts.at(0);
    for (const std::string& word : work.bad_words) EXPECT_EQ(text.find(word), std::string::npos) << text;
    work.bad_words.push_back(text.substr(static_cast<std::size_t>(4 + i), i % 2 == 0 ? 2 : 1));
  }
  // Tokens from before a resume count.
  const auto first_after = [&](TokenId said) {
    work.bad_words = {"ab"};
    work.resume = {{said}};
    work.sampling.logit_bias = {{'b', 100.F}};
    const auto resumed = [](EngineFixture& engine, GenerateRequest one) -> Task<Outcome> {
      auto stream = co_await engine.open(std::move(one));
      co_return co_await EngineFixture::read(std::move(*stream), 1, 1);
    };
    return fake.fixture->get(resumed(*fake.fixture, work)).texts.at(0).substr(0, 1);
  };
  EXPECT_NE(first_after('a'), "b");
  EXPECT_EQ(first_after('c'), "b");
  work.resume.clear();
  work.bad_words.assign(300, "x");
  EXPECT_EQ(param_of(fake.fixture->run(work)), "bad_words");
}

TEST(Engine, WhatTheCodecRefusedIsRefusedHere) {
  FakeEngine fake;
  GenerateRequest work = ask("Once", 2);
  work.refusal = invalid_field("mirostat", "no");
  EXPECT_EQ(param_of(fake.fixture->run(work)), "mirostat");
}

TEST(Engine, AModelWithoutAChatFormatTakesPromptsAndSaysSo) {
  FakeEngine fake({.chats = false});
  EXPECT_EQ(param_of(fake.fixture->run(behind(TextPrompt{"Hello"}))), "none");
  EXPECT_EQ(
      param_of(fake.fixture->run(behind(ChatPrompt{.messages = {{.role = "user", .content = "Hello"}}}))),
      "messages");
  GenerateRequest work = behind(TextPrompt{"Hello"});
  work.format = {OutputFormat::Kind::kGrammar, "abc"};
  EXPECT_EQ(param_of(fake.fixture->run(work)), "grammar");
  EXPECT_FALSE(fake.fixture->engine().card().has_chat_template);
}

TEST(PromptTokens, TokenizeTellsTheTextsOfTokens) {
  FakeEngine fake;
  const auto result = fake.fixture->get([](EngineFixture& fixture) -> Task<Result<TokenizeResult>> {
    co_await fixture.loaded();
    co_return co_await call(fixture.engine(),
                            TokenizeRequest{.prompt = TextPrompt{"a<|end|>"}, .with_texts = true}, {});
  }(*fake.fixture));
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->tokens, (std::vector<TokenId>{'a', FakeVocabulary::kEnd}));
  EXPECT_EQ(result->texts, (std::vector<std::string>{"a", "<|end|>"}));
}

}  // namespace
}  // namespace autoglm::engine
