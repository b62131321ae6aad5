#include "gateway/protocol/ollama/generate_codec.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace autoglm::protocol::ollama {
namespace {

Result<DecodedCall> decode(const std::string& members) { return GenerateCodec().decode("{" + members + "}"); }

const Prompt& prompt_of(const Result<DecodedCall>& call) { return call->generation()->prompts.front(); }

TEST(OllamaGenerate, APromptIsATurnOfAChat) {
  const auto call = decode(R"("model":"a","prompt":"Hi","system":"Be brief.","think":false)");
  ASSERT_TRUE(call) << call.error().message;
  const auto& chat = std::get<ChatPrompt>(prompt_of(call));
  ASSERT_EQ(chat.messages.size(), 2U);
  EXPECT_EQ(chat.messages[0].role + ": " + chat.messages[0].content, "system: Be brief.");
  EXPECT_EQ(chat.messages[1].role + ": " + chat.messages[1].content, "user: Hi");
  EXPECT_EQ(chat.template_arguments.at("enable_thinking"), "false");
}

TEST(OllamaGenerate, ARawPromptAndASuffixAreText) {
  EXPECT_EQ(std::get<TextPrompt>(prompt_of(decode(R"("prompt":"Hi","raw":true)"))).text, "Hi");
  const auto filled = decode(R"("prompt":"def f(","suffix":"return x")");
  EXPECT_EQ(std::get<TextPrompt>(prompt_of(filled)).text, "def f(");
  EXPECT_EQ(std::get<TextPrompt>(prompt_of(filled)).suffix, "return x");
}

TEST(OllamaGenerate, WritesLinesAndADocument) {
  const std::string metrics =
      R"("total_duration":0,"load_duration":0,"prompt_eval_count":3,"prompt_eval_duration":0,"eval_count":2,)"
      R"("eval_duration":0})";
  const std::string head = R"({"model":"m","created_at":"2023-11-14T22:13:20.000000Z",)";
  for (const bool stream : {true, false}) {
    const auto call = decode(std::string(R"("prompt":"Hi","stream":)") + (stream ? "true" : "false"));
    const auto encoder = call->make_encoder({.model = "m", .created = 1'700'000'000});
    std::string out;
    encoder->events({.events = {{.text = "a\n", .reasoning = "t"}}}, out);
    encoder->events({.events = {{.text = "b", .finish = FinishReason::kStop}}}, out);
    encoder->end({.prompt_tokens = 3, .completion_tokens = 2}, out);
    if (stream) {
      EXPECT_EQ(out, head + R"("response":"a\n","thinking":"t","done":false})" + "\n" + head +
                         R"("response":"b","done":false})" + "\n" + head +
                         R"("response":"","done":true,"done_reason":"stop",)" + metrics + "\n");
    } else {
      EXPECT_EQ(out,
                head + R"("response":"a\nb","thinking":"t","done":true,"done_reason":"stop",)" + metrics);
    }
  }
}

TEST(OllamaGenerate, WithoutAPromptItAsksForTheModel) {
  EXPECT_TRUE(decode(R"("model":"a")")->asks_nothing);
  EXPECT_TRUE(decode(R"("model":"a","prompt":"","keep_alive":0)")->asks_nothing);
  EXPECT_FALSE(decode(R"("model":"a","prompt":"","suffix":"x")")->asks_nothing);
}

TEST(OllamaGenerate, WhatItCannotDoIsRefusedByName) {
  for (const auto& [members, field] :
       {std::pair(R"("template":"{{ .Prompt }}")", "template"), std::pair(R"("context":[1,2])", "context"),
        std::pair(R"("images":["AAAA"])", "images"), std::pair(R"("raw":true,"system":"x")", "system"),
        std::pair(R"("prompt":7)", "prompt"), std::pair(R"("raw":"yes")", "raw"),
        std::pair(R"("suffix":[])", "suffix"), std::pair(R"("options":{"seed":"x"})", "options.seed")}) {
    const auto call = decode(std::string(R"("prompt":"Hi",)") + members);
    ASSERT_FALSE(call) << members;
    EXPECT_EQ(call.error().param, field) << call.error().message;
  }
  EXPECT_TRUE(decode(R"("prompt":"Hi","template":"","context":[],"images":null)"));
}

}  // namespace
}  // namespace autoglm::protocol::ollama
