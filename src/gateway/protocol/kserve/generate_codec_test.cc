#include "gateway/protocol/kserve/generate_codec.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace autoglm::protocol::kserve {
namespace {

std::string answer(bool streams, const std::string& body) {
  const auto call = GenerateCodec("alpha", streams).decode(body);
  EXPECT_TRUE(call) << call.error().message;
  if (!call) return {};
  const auto encoder = call->make_encoder({.model = "m"});
  std::string out;
  encoder->events({.events = {{.tokens = {1}, .text = "a\""}}}, out);
  encoder->events({.events = {{.tokens = {2}, .text = "b", .finish = FinishReason::kLength}}}, out);
  encoder->end({.prompt_tokens = 3, .completion_tokens = 2}, out);
  return out;
}

TEST(KserveGenerate, BeginsWithTheInputUnlessToldOtherwise) {
  EXPECT_EQ(answer(false, R"({"text_input":"Say "})"),
            R"({"model_name":"m","model_version":"1","text_output":"Say a\"b"})");
  EXPECT_EQ(answer(false, R"({"text_input":"Say ","parameters":{"exclude_input_in_output":true}})"),
            R"({"model_name":"m","model_version":"1","text_output":"a\"b"})");
  EXPECT_EQ(GenerateCodec("a", false).decode(R"({"text_input":"Say "})")->make_encoder({})->kept(), 4U);
}

TEST(KserveGenerate, StreamsPieces) {
  EXPECT_EQ(answer(true, R"({"text_input":"Say "})"),
            "data: {\"model_name\":\"m\",\"model_version\":\"1\",\"text_output\":\"a\\\"\"}\n\n"
            "data: {\"model_name\":\"m\",\"model_version\":\"1\",\"text_output\":\"b\"}\n\n");
}

TEST(KserveGenerate, TellsWhatItIsAsked) {
  const std::string asked =
      R"({"text_input":"x","return_finish_reason":true,"return_num_input_tokens":true,"return_num_output_tokens":true})";
  EXPECT_TRUE(
      answer(true, asked)
          .ends_with(
              R"("text_output":"","finish_reason":"length","num_input_tokens":3,"num_output_tokens":2})"
              "\n\n"))
      << answer(true, asked);
  EXPECT_TRUE(answer(false, asked)
                  .ends_with(R"("finish_reason":"length","num_input_tokens":3,"num_output_tokens":2})"));
}

TEST(KserveGenerate, CountsTokensByTheUsageWhereAnEndpointTellsNoIds) {
  const auto encoder = GenerateCodec("a", false)
                           .decode(R"({"text_input":"x","return_num_output_tokens":true})")
                           ->make_encoder({});
  std::string out;
  encoder->events({.events = {{.text = "ab", .finish = FinishReason::kStop}}}, out);
  encoder->end({.prompt_tokens = 3, .completion_tokens = 2}, out);
  EXPECT_TRUE(out.ends_with(R"("num_output_tokens":2})")) << out;
}

TEST(KserveGenerate, ReadsParametersWhereverTheyStand) {
  for (
      const char* body :
      {R"({"text_input":"x","parameters":{"temperature":0.5,"max_tokens":7,"seed":3,"stop":"y"}})",
       R"({"text_input":"x","temperature":0.5,"max_tokens":7,"random_seed":3,"stop_words":["y"],"bad_words":"","end_id":2})",
       R"({"text_input":"x","parameters":{"sampling_parameters":"{\"temperature\":0.5,\"max_tokens\":7,\"seed\":3,\"stop\":\"y\"}"}})"}) {
    const auto call = GenerateCodec("alpha", false).decode(body);
    ASSERT_TRUE(call) << call.error().message;
    EXPECT_EQ(call->model, "alpha");
    const GenerateRequest& work = *call->generation();
    EXPECT_EQ(work.sampling.temperature, 0.5);
    EXPECT_EQ(work.stop.max_tokens, 7U);
    EXPECT_EQ(work.sampling.seed, 3U);
    EXPECT_EQ(work.stop.stop, std::vector<std::string>{"y"});
  }
  EXPECT_EQ(GenerateCodec("a", false).decode(R"({"text_input":"x","what":1})")->unknown_fields, 1U);
}

TEST(KserveGenerate, WrongInputIsRefusedByName) {
  for (const auto& [members, field] :
       {std::pair(R"("text_input":["a"])", "text_input"), std::pair(R"("stream":true)", "stream"),
        std::pair(R"("parameters":[])", "parameters"),
        std::pair(R"("parameters":{"max_tokens":-1})", "parameters.max_tokens"),
        std::pair(R"("parameters":{"mirostat":1})", "parameters.mirostat"),
        std::pair(R"("beam_width":2)", "beam_width"),
        std::pair(R"("return_logprobs":true)", "return_logprobs"),
        std::pair(R"("sampling_parameters":"{")", "sampling_parameters"),
        std::pair(R"("sampling_parameters":"{\"top_p\":7}")", "top_p")}) {
    const auto call = GenerateCodec("a", false).decode(std::string(R"({"text_input":"x",)") + members + "}");
    ASSERT_FALSE(call) << members;
    EXPECT_EQ(call.error().param, field) << call.error().message;
  }
  EXPECT_EQ(
      GenerateCodec("a", true).decode(R"({"text_input":"x","exclude_input_in_output":false})").error().param,
      "exclude_input_in_output");
  EXPECT_EQ(GenerateCodec("a", true).decode("{}").error().param, "text_input");
}

TEST(KserveGenerate, AFailureInTheMiddleIsAFrame) {
  const auto encoder = GenerateCodec("a", true).decode(R"({"text_input":"x"})")->make_encoder({});
  std::string out;
  encoder->failure({.message = "died"}, out);
  EXPECT_EQ(out, "data: {\"error\":\"died\"}\n\n");
}

}  // namespace
}  // namespace autoglm::protocol::kserve
