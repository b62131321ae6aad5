#include "gateway/protocol/vllm/tokenize.h"

#include <gtest/gtest.h>

namespace autoglm::protocol::vllm {
namespace {

TEST(Tokenize, ReadsPromptOrMessages) {
  const auto text = decode_tokenize(R"({"model":"m","prompt":"Hi","add_special_tokens":false})");
  ASSERT_TRUE(text);
  EXPECT_EQ(text->model, "m");
  EXPECT_EQ(std::get<TextPrompt>(text->work.prompt).text, "Hi");
  EXPECT_FALSE(text->work.add_special);
  const auto chat = decode_tokenize(R"({"messages":[{"role":"user","content":"Hi"}]})");
  ASSERT_TRUE(chat);
  EXPECT_EQ(std::get<ChatPrompt>(chat->work.prompt).messages.size(), 1U);
}

TEST(Tokenize, RefusesABodyWithoutPrompt) {
  const auto call = decode_tokenize("{}");
  ASSERT_FALSE(call);
  EXPECT_EQ(call.error().param, "prompt");
}

TEST(Tokenize, WritesCountLengthAndTokens) {
  EXPECT_EQ(tokenize_body({.tokens = {1, 2, 3}, .context_length = 2048}),
            R"({"count":3,"max_model_len":2048,"tokens":[1,2,3]})");
}

TEST(Detokenize, ReadsTokensAndWritesText) {
  const auto call = decode_detokenize(R"({"tokens":[5,6]})");
  ASSERT_TRUE(call);
  EXPECT_EQ(call->tokens, (std::vector<TokenId>{5, 6}));
  EXPECT_EQ(detokenize_body("a\"b"), R"({"prompt":"a\"b"})");
  EXPECT_FALSE(decode_detokenize(R"({"tokens":["a"]})"));
  EXPECT_FALSE(decode_detokenize("{}"));
}

}  // namespace
}  // namespace autoglm::protocol::vllm
