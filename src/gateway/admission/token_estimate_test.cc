#include "gateway/admission/token_estimate.h"

#include <gtest/gtest.h>

namespace autoglm::gateway {
namespace {

InferenceRequest generation(GenerateRequest work) { return {.work = std::move(work)}; }

TEST(TokenEstimate, CountsPromptsAndTheMostOfAllChoices) {
  GenerateRequest work{.prompts = {TextPrompt{"nine byte"}, TokenPrompt{{1, 2, 3}}}, .n = 2};
  work.stop.max_tokens = 10;
  const TokenEstimate estimate = estimate_tokens(generation(work), 256);
  EXPECT_EQ(estimate.prompt, 5U + 3) << "nine bytes and two tokens around them, and three tokens";
  EXPECT_EQ(estimate.completion, 40U) << "two choices of each of two prompts";
  work.stop.max_tokens.reset();
  EXPECT_EQ(estimate_tokens(generation(work), 256).completion, 4 * 256U);
}

TEST(TokenEstimate, HugeAnswersDoNotWrapAround) {
  GenerateRequest work{.prompts = std::vector<Prompt>(64, TextPrompt{"x"}), .n = 128};
  work.stop.max_tokens = UINT32_MAX;
  EXPECT_EQ(estimate_tokens(generation(work), 256).completion, std::uint64_t{UINT32_MAX} * 64 * 128);
}

TEST(TokenEstimate, OtherScriptsHaveATokenACharacter) {
  EXPECT_EQ(estimate_tokens(generation({.prompts = {TextPrompt{"你好世界"}}}), 0).prompt, 6U);
}

TEST(TokenEstimate, CountsAllThatAChatShowsItsModel) {
  ChatPrompt chat;
  chat.messages.push_back({.role = "user", .content = "123456"});
  const std::uint64_t bare = estimate_tokens(generation({.prompts = {chat}}), 0).prompt;
  EXPECT_EQ(bare, 2U + 4 + 2);
  chat.tools.push_back({.name = "find", .description = "12345678", .parameters = "{}"});
  EXPECT_GT(estimate_tokens(generation({.prompts = {chat}}), 0).prompt, bare);
}

TEST(TokenEstimate, EmbeddingsAndScoresHaveNoAnswer) {
  EXPECT_EQ(
      estimate_tokens({.work = EmbedRequest{.inputs = {TextPrompt{"123"}, TextPrompt{"123"}}}}, 256).total(),
      6U);
  const ScoreRequest score{.queries = {"123"}, .documents = {"123", "123"}};
  EXPECT_EQ(estimate_tokens({.work = score}, 256).total(), 8U) << "the query is read with each document";
}

TEST(TokenEstimate, BytesOfUnknownKindsCountOnlyWhereTheyAreJson) {
  InferenceRequest request{.work = OpaqueRequest{},
                           .wire = {.protocol = WireBody::Protocol::kChat, .bytes = "123456"}};
  EXPECT_EQ(estimate_tokens(request, 100).total(), 102U);
  request.wire.protocol = WireBody::Protocol::kPassed;
  EXPECT_EQ(estimate_tokens(request, 100).total(), 0U) << "it may be a sound";
}

}  // namespace
}  // namespace autoglm::gateway
