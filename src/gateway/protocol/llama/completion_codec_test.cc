#include "gateway/protocol/llama/completion_codec.h"

#include "gateway/protocol/llama/props.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::protocol::llama {
namespace {

using namespace std::chrono_literals;

constexpr MonotonicTime kBegan{};
MonotonicTime later() { return kBegan + 100ms; }
const AnswerFacts kFacts{.model = "m", .began = kBegan, .now = later};

constexpr std::string_view kTimings =
    R"("timings":{"cache_n":2,"prompt_n":4,"prompt_ms":100,"prompt_per_token_ms":25,"prompt_per_second":40,)"
    R"("predicted_n":2,"predicted_ms":0,"predicted_per_token_ms":0,"predicted_per_second":0})";
constexpr std::string_view kSettings =
    R"("generation_settings":{"n_predict":9,"stream":false,"ignore_eos":false,"n_probs":0,"seed":7})";

std::string answer(const Codec& codec, const std::string& body, const std::vector<TokenEvent>& events) {
  const auto call = codec.decode(body);
  EXPECT_TRUE(call) << call.error().message;
  if (!call) return {};
  const auto encoder = call->make_encoder(kFacts);
  std::string out;
  for (const TokenEvent& event : events) encoder->events({.events = {event}}, out);
  encoder->end({.prompt_tokens = 6, .cached_tokens = 2, .completion_tokens = 2}, out);
  return out;
}

const std::vector<TokenEvent> kHello = {
    {.tokens = {11}, .text = "Hel"},
    {.index = 1, .tokens = {12}, .text = "lo\n", .finish = FinishReason::kLength}};

TEST(LlamaCompletion, WritesTheDocument) {
  EXPECT_EQ(answer(CompletionCodec(), R"({"prompt":"Say","n_predict":9,"seed":7})", kHello),
            R"({"index":0,"content":"Hello\n","tokens":[],"id_slot":-1,"stop":true,"model":"m",)"
            R"("tokens_predicted":2,"tokens_evaluated":6,)" +
                std::string(kSettings) +
                R"(,"prompt":"Say","has_new_line":true,"truncated":false,"stop_type":"limit",)"
                R"("stopping_word":"","tokens_cached":2,)" +
                std::string(kTimings) + "}");
}

TEST(LlamaCompletion, StreamsItsOwnFramesWithoutAnEndMark) {
  const std::string out = answer(CompletionCodec(), R"({"prompt":"Say","stream":true})", kHello);
  EXPECT_TRUE(out.starts_with(
      R"(data: {"index":0,"content":"Hel","tokens":[11],"id_slot":-1,"stop":false,"tokens_predicted":1})"
      "\n\n"
      R"(data: {"index":0,"content":"lo\n","tokens":[12],"id_slot":-1,"stop":false,"tokens_predicted":2})"
      "\n\n"
      R"(data: {"index":0,"content":"","tokens":[],"id_slot":-1,"stop":true,"model":"m","tokens_predicted":2,)"))
      << out;
  EXPECT_TRUE(out.ends_with("}\n\n"));
  EXPECT_FALSE(out.contains("[DONE]"));
}

TEST(LlamaCompletion, SeveralAnswersAreAList) {
  const std::string out =
      answer(CompletionCodec(), R"({"prompt":["a","b"],"n_cmpl":2,"response_fields":["index"]})", {});
  EXPECT_EQ(out, R"([{"index":0},{"index":1},{"index":2},{"index":3}])");
}

TEST(LlamaCompletion, ResponseFieldsChooseMembersByTheirPaths) {
  EXPECT_EQ(
      answer(
          CompletionCodec(),
          R"({"prompt":"a","response_fields":["content","timings/prompt_n","content","what/not","stop_type"]})",
          kHello),
      R"({"content":"Hello\n","prompt_n":4,"stop_type":"limit"})");
}

TEST(LlamaCompletion, ReportsProbabilities) {
  const std::vector<TokenEvent> events = {
      {.tokens = {5},
       .text = "a",
       .logprobs = {{.chosen = {.token = 5, .logprob = -0.5, .bytes = "a"},
                     .top = {{.token = 5, .logprob = -0.5, .bytes = "a"},
                             {.token = 6, .logprob = -1.5, .bytes = "b"}}}},
       .finish = FinishReason::kStop}};
  const std::string out =
      answer(CompletionCodec(),
             R"({"prompt":"a","n_probs":2,"response_fields":["completion_probabilities"]})", events);
  EXPECT_EQ(out,
            R"({"completion_probabilities":[{"id":5,"token":"a","bytes":[97],"logprob":-0.5,"top_logprobs":[)"
            R"({"id":5,"token":"a","bytes":[97],"logprob":-0.5},)"
            R"({"id":6,"token":"b","bytes":[98],"logprob":-1.5}]}]})");
}

TEST(LlamaCompletion, SaysWhyItStopped) {
  const auto stop_type = [](FinishReason finish, const std::string& stop) {
    return answer(CompletionCodec(),
                  R"({"prompt":"a","stop":["\"x"],"response_fields":["stop_type","stopping_word"]})",
                  {{.text = "b", .finish = finish, .stop = stop}});
  };
  EXPECT_EQ(stop_type(FinishReason::kStop, ""), R"({"stop_type":"eos","stopping_word":""})");
  EXPECT_EQ(stop_type(FinishReason::kStop, "\"x"), R"({"stop_type":"word","stopping_word":"\"x"})");
  EXPECT_EQ(stop_type(FinishReason::kLength, ""), R"({"stop_type":"limit","stopping_word":""})");
}

TEST(LlamaCompletion, AnEndpointMayTellNoIds) {
  const std::vector<TokenEvent> events = {
      {.text = "a",
       .logprobs = {{.chosen = {.token = -1, .logprob = -0.5, .bytes = "a"},
                     .top = {{.token = -2, .logprob = -1.5, .bytes = "b"}}}},
       .finish = FinishReason::kStop}};
  EXPECT_EQ(
      answer(CompletionCodec(),
             R"({"prompt":"a","response_fields":["tokens_predicted","completion_probabilities"]})", events),
      R"({"tokens_predicted":2,"completion_probabilities":[{"token":"a","bytes":[97],"logprob":-0.5,)"
      R"("top_logprobs":[{"token":"b","bytes":[98],"logprob":-1.5}]}]})")
      << "the usage counts";
}

TEST(LlamaCompletion, ReadsItsFields) {
  const auto call = CompletionCodec().decode(
      R"({"prompt":[1,2],"n_predict":-1,"seed":-1,"cache_prompt":true,"id_slot":3,"repeat_penalty":1.5,"what":1})");
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_EQ(std::get<TokenPrompt>(call->generation()->prompts.front()).tokens, (std::vector<TokenId>{1, 2}));
  EXPECT_FALSE(call->generation()->stop.max_tokens);
  EXPECT_FALSE(call->generation()->sampling.seed);
  EXPECT_EQ(call->generation()->sampling.repetition_penalty, 1.5);
  EXPECT_EQ(call->unknown_fields, 1U);
  EXPECT_EQ(CompletionCodec().decode(R"({"prompt":"a","n_predict":0})")->generation()->stop.max_tokens, 0U);
}

TEST(LlamaCompletion, ASamplerThatIsNotListedChangesNothing) {
  const auto call = CompletionCodec().decode(
      R"({"prompt":"a","temperature":0.2,"top_k":5,"top_p":0.5,"samplers":["top_k"]})");
  ASSERT_TRUE(call) << call.error().message;
  const SamplingRequest& sampling = call->generation()->sampling;
  EXPECT_EQ(sampling.temperature, 1);
  EXPECT_EQ(sampling.top_k, 5);
  EXPECT_EQ(sampling.top_p, 1);
  EXPECT_EQ(sampling.min_p, 0);
  EXPECT_EQ(sampling.repetition_penalty, 1);
}

TEST(LlamaCompletion, AFailureInTheMiddleIsAFrame) {
  const auto encoder = CompletionCodec().decode(R"({"prompt":"a","stream":true})")->make_encoder(kFacts);
  std::string out;
  encoder->failure({.code = ErrorCode::kUnavailable, .message = "died"}, out);
  EXPECT_EQ(out, "data: {\"error\":{\"code\":503,\"message\":\"died\",\"type\":\"unavailable_error\"}}\n\n");
}

TEST(LlamaCompletion, WrongInputIsRefusedByName) {
  for (const auto& [members, field] :
       {std::pair(R"("prompt":7)", "prompt"), std::pair(R"("n_predict":"all")", "n_predict"),
        std::pair(R"("samplers":["magic"])", "samplers"), std::pair(R"("samplers":["infill"])", "samplers"),
        std::pair(R"("seed":"x")", "seed"), std::pair(R"("mirostat":2)", "mirostat"),
        std::pair(R"("t_max_predict_ms":5)", "t_max_predict_ms"), std::pair(R"("lora":[{"id":0}])", "lora"),
        std::pair(R"("response_fields":7)", "response_fields"),
        std::pair(R"("prompt_logprobs":1)", "prompt_logprobs"),
        std::pair(R"("return_tokens":1)", "return_tokens")}) {
    const auto call = CompletionCodec().decode(std::string(R"({"prompt":"a",)") + members + "}");
    ASSERT_FALSE(call) << members;
    EXPECT_EQ(call.error().param, field) << call.error().message;
  }
  EXPECT_EQ(CompletionCodec().decode("{}").error().param, "prompt");
}

// What llama.vim sends.
constexpr const char* kVim =
    R"({"input_prefix":"int f(\n","input_suffix":"\n}\n","input_extra":[{"text":"int g();","time":[1,2],"filename":"g.h"}],)"
    R"("prompt":"  ","n_predict":128,"n_indent":2,"top_k":40,"top_p":0.99,"stream":false,)"
    R"("samplers":["top_k","top_p","infill"],"cache_prompt":true,"t_max_prompt_ms":500,"t_max_predict_ms":1500,)"
    R"("response_fields":["content","timings/predicted_n","truncated","tokens_cached"]})";

TEST(LlamaInfill, TakesWhatEditorsSend) {
  const auto call = InfillCodec().decode(kVim);
  ASSERT_TRUE(call) << call.error().message;
  const auto& prompt = std::get<TextPrompt>(call->generation()->prompts.front());
  EXPECT_EQ(prompt.text, "g.h\nint g();\nint f(\n  ");
  EXPECT_EQ(prompt.suffix, "\n}\n");
  EXPECT_EQ(call->generation()->sampling.temperature, 0) << "the nearest to the sampler \"infill\"";
  EXPECT_EQ(call->generation()->stop.max_tokens, 128U);
  EXPECT_EQ(answer(InfillCodec(), kVim, kHello),
            R"({"content":"Hello\n","predicted_n":2,"truncated":false,"tokens_cached":2})");
}

TEST(LlamaInfill, ReadsAPromptAheadOfTime) {
  const auto call = InfillCodec().decode(
      R"({"input_prefix":"","input_suffix":"","input_extra":[],"prompt":"","n_predict":0,"temperature":0.0,)"
      R"("samplers":[],"t_max_prompt_ms":1,"t_max_predict_ms":1,"response_fields":[""]})");
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_EQ(call->generation()->stop.max_tokens, 0U);
}

TEST(LlamaInfill, WrongInputIsRefusedByName) {
  for (const auto& [members, field] :
       {std::pair(R"("input_prefix":7)", "input_prefix"), std::pair(R"("input_suffix":[])", "input_suffix"),
        std::pair(R"("input_extra":"x")", "input_extra"),
        std::pair(R"("input_extra":[{}])", "input_extra[0].text"), std::pair(R"("prompt":[1])", "prompt")}) {
    const auto call = InfillCodec().decode(std::string("{") + members + "}");
    ASSERT_FALSE(call) << members;
    EXPECT_EQ(call.error().param, field) << call.error().message;
  }
}

TEST(LlamaProps, TellsTheModelAndItsSlots) {
  const ModelCard card{.name = "m", .context_length = 512, .sampling = {{"repetition_penalty", 1.1, "file"}}};
  const LoadReport load{.running = 1, .max_running = 2};
  EXPECT_EQ(slots_body(card, load), R"([{"id":0,"n_ctx":512,"speculative":false,"is_processing":true},)"
                                    R"({"id":1,"n_ctx":512,"speculative":false,"is_processing":false}])");
  const std::string props = props_body(
      card, load, R"({"chat_template":"{{ x }}","bos_token":{"content":"<s>"},"eos_token":null})", "b1");
  EXPECT_TRUE(props.starts_with(
      R"({"default_generation_settings":{"params":{"repeat_penalty":1.1},"n_ctx":512},"total_slots":2,"model_alias":"m",)"))
      << props;
  EXPECT_TRUE(
      props.contains(R"("chat_template":"{{ x }}","bos_token":"<s>","eos_token":"","build_info":"b1")"))
      << props;
}

}  // namespace
}  // namespace autoglm::protocol::llama
