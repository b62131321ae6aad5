#include "gateway/protocol/ollama/embed_codec.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace autoglm::protocol::ollama {
namespace {

EventBatch vectors(std::vector<std::vector<float>> all) {
  return {.answer = std::make_shared<const WholeAnswer>(EmbedResult{std::move(all)}),
          .usage = Usage{.prompt_tokens = 4}};
}

TEST(OllamaEmbed, AsksForAVectorOfEachText) {
  const auto call = EmbedCodec().decode(
      R"({"model":"e:latest","input":["a","b"],"dimensions":2,"truncate":false,"keep_alive":"1m","options":{}})");
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_EQ(call->model, "e:latest");
  const auto& work = std::get<EmbedRequest>(call->work);
  ASSERT_EQ(work.inputs.size(), 2U);
  EXPECT_EQ(std::get<TextPrompt>(work.inputs[1]).text, "b");
  EXPECT_EQ(work.dimensions, 2U);
  EXPECT_FALSE(work.truncates);
  EXPECT_TRUE(work.normalized);
  const auto encoder = call->make_encoder({.model = "e"});
  std::string out;
  encoder->events(vectors({{0.5F, -1.0F}, {1.0F, 0.25F}}), out);
  encoder->end({.prompt_tokens = 4}, out);
  EXPECT_EQ(out,
            R"({"model":"e:latest","embeddings":[[0.5,-1],[1,0.25]],"total_duration":0,"load_duration":0,)"
            R"("prompt_eval_count":4})");
}

TEST(OllamaEmbed, OneTextIsAListOfOne) {
  const auto call = EmbedCodec().decode(R"({"input":"a"})");
  EXPECT_EQ(std::get<EmbedRequest>(call->work).inputs.size(), 1U);
  EXPECT_TRUE(std::get<EmbedRequest>(call->work).truncates) << "as Ollama does";
}

TEST(OllamaEmbed, NoTextAsksForTheModel) {
  for (const char* body : {R"({"model":"e"})", R"({"input":""})", R"({"input":[]})"})
    EXPECT_TRUE(EmbedCodec().decode(body)->asks_nothing) << body;
}

TEST(OllamaEmbed, TheOlderOneHasOneVectorAsTheModelHasIt) {
  const auto call = EmbeddingsCodec().decode(R"({"model":"e","prompt":"a"})");
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_FALSE(std::get<EmbedRequest>(call->work).normalized);
  const auto encoder = call->make_encoder({.model = "e"});
  std::string out;
  encoder->events(vectors({{3.0F, 4.0F}}), out);
  encoder->end({}, out);
  EXPECT_EQ(out, R"({"embedding":[3,4]})");
}

TEST(OllamaEmbed, WrongInputIsRefusedByName) {
  for (const auto& [body, field] :
       {std::pair(R"({"input":7})", "input"), std::pair(R"({"input":["a",7]})", "input[1]"),
        std::pair(R"({"input":"a","truncate":1})", "truncate"),
        std::pair(R"({"input":"a","dimensions":-1})", "dimensions"),
        std::pair(R"({"input":"a","options":[]})", "options")}) {
    const auto call = EmbedCodec().decode(body);
    ASSERT_FALSE(call) << body;
    EXPECT_EQ(call.error().param, field) << call.error().message;
  }
  EXPECT_EQ(EmbeddingsCodec().decode(R"({"prompt":[]})").error().param, "prompt");
}

}  // namespace
}  // namespace autoglm::protocol::ollama
