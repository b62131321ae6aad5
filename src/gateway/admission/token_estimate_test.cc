#include "gateway/admission/token_estimate.h"

#include <gtest/gtest.h>

namespace autoglm::gateway {
namespace {

InferenceRequest generation(GenerateRequest work) { return {.work = std::move(work)}; }

TEST(TokenEstimate, CountsPromptsAndTheMostOfAllChoices) {
  GenerateRequest work{.prompts = {TextPrompt{"nine byte"}, TokenPrompt{{1, 2, 3}}}, .n = 2};
  work.stop.max_tokens = 10;
  const TokenEstimate estimate = estimate_tokens(generation(work));
  EXPECT_EQ(estimate.prompt, 5U + 3) << "nine bytes and two tokens around them, and three tokens";
  EXPECT_EQ(estimate.completion(), 40U) << "two choices of each of two prompts";
  work.stop.max_tokens.reset();
  EXPECT_EQ(estimate_tokens(generation(work)).completion(), 4 * 256U);
}

TEST(TokenEstimate, HugeAnswersDoNotWrapAround) {
  GenerateRequest work{.prompts = std::vector<Prompt>(64, TextPrompt{"x"}), .n = 128};
  work.stop.max_tokens = UINT32_MAX;
  EXPECT_EQ(estimate_tokens(generation(work)).completion(), std::uint64_t{UINT32_MAX} * 64 * 128);
}

TEST(TokenEstimate, OtherScriptsHaveATokenACharacter) {
  EXPECT_EQ(estimate_tokens(generation({.prompts = {TextPrompt{"你好世界"}}})).prompt, 6U);
}

TEST(TokenEstimate, CountsAllThatAChatShowsItsModel) {
  ChatPrompt chat;
  chat.messages.push_back({.role = "user", .content = "123456"});
  const std::uint64_t bare = estimate_tokens(generation({.prompts = {chat}})).prompt;
  EXPECT_EQ(bare, 2U + 4 + 2);
  chat.tools.push_back({.name = "find", .description = "12345678", .parameters = "{}"});
  EXPECT_GT(estimate_tokens(generation({.prompts = {chat}})).prompt, bare);
}

TEST(TokenEstimate, EmbeddingsAndScoresHaveNoAnswer) {
  EXPECT_EQ(estimate_tokens({.work = EmbedRequest{.inputs = {TextPrompt{"123"}, TextPrompt{"123"}}}}).total(),
            6U);
  const ScoreRequest score{.queries = {"123"}, .documents = {"123", "123"}};
  EXPECT_EQ(estimate_tokens({.work = score}).total(), 8U) << "the query is read with each document";
}

TEST(TokenEstimate, LongTextsAreCountedWhole) {
  std::string text(1000, 'a');
  for (int i = 0; i < 600; ++i) text += "\u4f60";
  text += std::string(500, 'b');
  EXPECT_EQ(estimate_tokens(generation({.prompts = {TextPrompt{text}}})).prompt, 2U + 500U + 600U);
}

TEST(TokenEstimate, AnImageInsideABodyIsNoText) {
  const std::string image = R"({"url":"data:image/png;base64,)" + std::string(1'000'000, 'A') + R"("})";
  InferenceRequest request{
      .work = OpaqueRequest{},
      .wire = {.protocol = WireBody::Protocol::kChat, .bytes = "[" + image + "," + image + "]"}};
  const std::uint64_t prompt = estimate_tokens(request).prompt;
  EXPECT_GT(prompt, 2048U);
  EXPECT_LT(prompt, 2100U);
  request.wire.bytes = R"({"url":"data:no end)";
  EXPECT_LT(estimate_tokens(request).prompt, 1100U);
}

TEST(TokenEstimate, BytesOfUnknownKindsCountOnlyWhereTheyAreJson) {
  InferenceRequest request{.work = OpaqueRequest{},
                           .wire = {.protocol = WireBody::Protocol::kChat, .bytes = "123456"}};
  EXPECT_EQ(estimate_tokens(request).total(), 258U);
  request.wire.protocol = WireBody::Protocol::kPassed;
  EXPECT_EQ(estimate_tokens(request).total(), 0U) << "it may be a sound";
}

}  // namespace
}  // namespace autoglm::gateway
