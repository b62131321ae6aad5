#include "gateway/protocol/openai/embeddings_codec.h"

#include <gtest/gtest.h>

#include <string>

namespace autoglm::protocol::openai {
namespace {

EmbedRequest work_of(std::string_view body) {
  auto call = EmbeddingsCodec().decode(body);
  EXPECT_TRUE(call) << call.error().message;
  return call ? std::get<EmbedRequest>(call->work) : EmbedRequest();
}

std::string answer_to(std::string_view body, EmbedResult result) {
  const auto call = EmbeddingsCodec().decode(body);
  const auto encoder = call->make_encoder({.id = "1", .model = "m"});
  std::string out;
  encoder->events({.answer = std::make_shared<const WholeAnswer>(std::move(result))}, out);
  encoder->end({.prompt_tokens = 7}, out);
  return out;
}

TEST(EmbeddingsCodec, ReadsTextsAndTokensAloneAndInLists) {
  EXPECT_EQ(std::get<TextPrompt>(work_of(R"({"input":"Hi"})").inputs.at(0)).text, "Hi");
  EXPECT_EQ(work_of(R"({"input":["a","b"]})").inputs.size(), 2U);
  EXPECT_EQ(std::get<TokenPrompt>(work_of(R"({"input":[1,2]})").inputs.at(0)).tokens,
            (std::vector<TokenId>{1, 2}));
  EXPECT_EQ(work_of(R"({"input":[[1,2],[3]]})").inputs.size(), 2U);
}

TEST(EmbeddingsCodec, ReadsHowTheVectorsAreWanted) {
  const auto work = work_of(
      R"({"input":"Hi","dimensions":3,"normalize":false,"truncate_prompt_tokens":-1,"user":"x","model":"m"})");
  EXPECT_EQ(work.dimensions, 3U);
  EXPECT_FALSE(work.normalized);
  EXPECT_TRUE(work.truncates);
  EXPECT_EQ(EmbeddingsCodec().decode(R"({"input":"Hi","user":"x"})")->unknown_fields, 0U);
  EXPECT_EQ(EmbeddingsCodec().decode(R"({"input":"Hi","odd":1})")->unknown_fields, 1U);
}

TEST(EmbeddingsCodec, WrongBodiesNameTheField) {
  struct Case {
    const char* body;
    const char* field;
  };
  const std::string many = "{\"input\":[" + [] {
    std::string list = "\"a\"";
    for (int i = 0; i < 2048; ++i) list += ",\"a\"";
    return list;
  }() + "]}";
  for (const Case& c : {Case{R"({})", "input"}, Case{R"({"input":""})", "input"},
                        Case{R"({"input":["a",""]})", "input[1]"}, Case{R"({"input":[[1],[]]})", "input[1]"},
                        Case{R"({"input":[]})", "input"}, Case{R"({"input":5})", "input"},
                        Case{R"({"input":["a",1]})", "input"}, Case{R"({"input":[-1]})", "input[0]"},
                        Case{R"({"input":"a","encoding_format":"hex"})", "encoding_format"},
                        Case{R"({"input":"a","dimensions":0})", "dimensions"},
                        Case{R"({"input":"a","dimensions":1.5})", "dimensions"},
                        Case{R"({"input":"a","truncate_prompt_tokens":5})", "truncate_prompt_tokens"},
                        Case{R"({"input":"a","priority":10})", "priority"},
                        Case{R"({"input":"a","model":5})", "model"}, Case{many.c_str(), "input"}}) {
    const auto call = EmbeddingsCodec().decode(c.body);
    ASSERT_FALSE(call) << c.body;
    EXPECT_EQ(call.error().param, c.field) << c.body;
  }
}

TEST(EmbeddingsCodec, WritesNumbers) {
  EXPECT_EQ(answer_to(R"({"input":["a","b"]})", {.vectors = {{0.5F, -1}, {1e-9F, 0}}}),
            R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,-1]},)"
            R"({"object":"embedding","index":1,"embedding":[1e-09,0]}],"model":"m",)"
            R"("usage":{"prompt_tokens":7,"total_tokens":7}})");
}

TEST(EmbeddingsCodec, WritesBase64OfLittleEndianFloats) {
  EXPECT_NE(answer_to(R"({"input":"a","encoding_format":"base64"})", {.vectors = {{1, -2}}})
                .find(R"("embedding":"AACAPwAAAMA=")"),
            std::string::npos);
}

TEST(EmbeddingsCodec, AServerElsewhereMayUnderstandWhatItDoesNot) {
  const auto call = EmbeddingsCodec().outline(R"({"model":"m","input":{"image":"…"}})");
  ASSERT_TRUE(call);
  EXPECT_EQ(call->model, "m");
  EXPECT_TRUE(std::holds_alternative<OpaqueRequest>(call->work));
  EXPECT_EQ(call->protocol, WireBody::Protocol::kEmbeddings);
}

}  // namespace
}  // namespace autoglm::protocol::openai
