#include "gateway/protocol/openai/completions_codec.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <span>
#include <string>

namespace autoglm::protocol::openai {
namespace {

const AnswerFacts kFacts{.id = "1", .model = "m", .created = 1700000000};

Error error_of(std::string_view body) {
  const auto call = CompletionsCodec().decode(body);
  if (call) {
    EXPECT_TRUE(call->generation()->refusal) << "accepted: " << body;
    return call->generation()->refusal.value_or(Error());
  }
  EXPECT_EQ(call.error().code, ErrorCode::kInvalidArgument) << body;
  return call.error();
}

TokenEvent token(std::uint32_t choice, std::uint32_t index, std::string text) {
  return TokenEvent{.choice = choice, .index = index, .tokens = {7}, .text = std::move(text)};
}

TokenEvent finish(std::uint32_t choice, FinishReason reason) {
  return TokenEvent{.choice = choice, .finish = reason};
}

TEST(CompletionsCodec, ReadsEveryField) {
  const auto call = CompletionsCodec().decode(R"({
    "model": "m", "prompt": "Hi", "max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.05,
    "n": 3, "stop": ["a", "b"], "seed": -1, "presence_penalty": 0.5, "frequency_penalty": -0.5,
    "repetition_penalty": 1.1, "logit_bias": {"5": -100, "6": 1.5}, "ignore_eos": true, "stream": true,
    "stream_options": {"include_usage": true}, "user": "u", "something_new": {"x": [1]}})");
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_EQ(call->model, "m");
  EXPECT_EQ(std::get<TextPrompt>(call->generation()->prompts.front()).text, "Hi");
  EXPECT_EQ(call->generation()->stop.max_tokens, 5U);
  EXPECT_EQ(call->generation()->stop.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(call->generation()->stop.ignore_eos);
  EXPECT_EQ(call->generation()->n, 3U);
  const SamplingRequest& sampling = call->generation()->sampling;
  EXPECT_EQ(sampling.temperature, 0.5);
  EXPECT_EQ(sampling.top_p, 0.9);
  EXPECT_EQ(sampling.top_k, 40);
  EXPECT_EQ(sampling.min_p, 0.05);
  EXPECT_EQ(sampling.seed, ~std::uint64_t{0});
  EXPECT_EQ(sampling.presence_penalty, 0.5);
  EXPECT_EQ(sampling.frequency_penalty, -0.5);
  EXPECT_EQ(sampling.repetition_penalty, 1.1);
  EXPECT_EQ(sampling.logit_bias, (std::vector<std::pair<TokenId, float>>{{5, -100.F}, {6, 1.5F}}));
  EXPECT_TRUE(call->stream);
  EXPECT_EQ(call->unknown_fields, 1U);  // something_new
}

TEST(CompletionsCodec, HasOpenAiDefaults) {
  const auto call =
      CompletionsCodec().decode(R"({"prompt":"Hi","temperature":null,"logprobs":null,"best_of":1})");
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_EQ(call->generation()->stop.max_tokens, 16U);
  // Absent parameters are left to the model's defaults.
  EXPECT_EQ(static_cast<const SamplingNumbers&>(call->generation()->sampling), SamplingNumbers());
  EXPECT_EQ(call->generation()->n, 1U);
  EXPECT_FALSE(call->stream);
  EXPECT_FALSE(call->generation()->sampling.seed.has_value());
  EXPECT_TRUE(call->model.empty());
}

TEST(CompletionsCodec, TakesTokensAndAListOfOneString) {
  const auto tokens = CompletionsCodec().decode(R"({"prompt":[1,2,3]})");
  EXPECT_EQ(std::get<TokenPrompt>(tokens->generation()->prompts.front()).tokens,
            (std::vector<TokenId>{1, 2, 3}));
  const auto text = CompletionsCodec().decode(R"({"prompt":["Hi"]})");
  EXPECT_EQ(std::get<TextPrompt>(text->generation()->prompts.front()).text, "Hi");
}

TEST(CompletionsCodec, TakesListsOfPromptsOfBothKinds) {
  const auto call = CompletionsCodec().decode(R"({"prompt":["a",[1,2],"b"],"n":2})");
  ASSERT_TRUE(call) << call.error().message;
  ASSERT_EQ(call->generation()->prompts.size(), 3U);
  EXPECT_EQ(std::get<TextPrompt>(call->generation()->prompts[0]).text, "a");
  EXPECT_EQ(std::get<TokenPrompt>(call->generation()->prompts[1]).tokens, (std::vector<TokenId>{1, 2}));
  EXPECT_EQ(std::get<TextPrompt>(call->generation()->prompts[2]).text, "b");
  EXPECT_EQ(call->generation()->choices(), 6U);
}

TEST(CompletionsCodec, TakesWhatOthersHaveGenerated) {
  const auto one = CompletionsCodec().decode(R"({"prompt":"x","resume":{"token_ids":[5,6],"created":77}})");
  ASSERT_TRUE(one) << one.error().message;
  EXPECT_EQ(one->generation()->resume, (std::vector<std::vector<TokenId>>{{5, 6}}));
  EXPECT_EQ(one->created, 77);
  const auto two = CompletionsCodec().decode(R"({"prompt":"x","n":2,"resume":{"token_ids":[[5,6],[]]}})");
  ASSERT_TRUE(two) << two.error().message;
  EXPECT_EQ(two->generation()->resume, (std::vector<std::vector<TokenId>>{{5, 6}, {}}));
}

TEST(CompletionsCodec, ShowsTheLikeliestOfBestOf) {
  auto call = CompletionsCodec().decode(R"({"prompt":"x","best_of":3,"n":2})");
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_EQ(call->generation()->n, 3U);
  const auto encoder = call->make_encoder({.id = "1", .model = "m"});
  std::string out;
  EventBatch batch;
  const std::array<double, 3> logprobs = {-2, -3, -1};
  for (std::uint32_t i = 0; i < 3; ++i) {
    batch.events.push_back({.choice = i,
                            .tokens = {7},
                            .text = std::string(1, static_cast<char>('a' + i)),
                            .logprobs = {{.chosen = {.token = 7, .logprob = logprobs[i]}}},
                            .finish = FinishReason::kLength});
  }
  encoder->events(batch, out);
  encoder->end({}, out);
  EXPECT_NE(out.find(R"("choices":[{"index":0,"text":"c","logprobs":null,"finish_reason":"length"},)"
                     R"({"index":1,"text":"a","logprobs":null,"finish_reason":"length"}])"),
            std::string::npos)
      << out;
}

TEST(CompletionsCodec, StreamsTokenIdsWithTheLastFrameOfAnEvent) {
  auto call = CompletionsCodec().decode(R"({"prompt":"x","stream":true,"return_token_ids":true})");
  ASSERT_TRUE(call) << call.error().message;
  const auto encoder = call->make_encoder({.id = "1", .model = "m"});
  std::string out;
  encoder->events({.events = {{.tokens = {7}}, {.index = 1, .tokens = {8}, .text = "é"}}}, out);
  EXPECT_NE(out.find(R"("text":"","logprobs":null,"token_ids":[7])"), std::string::npos) << out;
  EXPECT_NE(out.find(R"("text":"é","logprobs":null,"token_ids":[8])"), std::string::npos) << out;
}

struct Wrong {
  const char* body;
  const char* param;
  const char* says;
};

void expect_named(std::span<const Wrong> cases) {
  for (const Wrong& c : cases) {
    const Error error = error_of(c.body);
    EXPECT_EQ(error.param, c.param) << c.body;
    EXPECT_NE(error.message.find(c.says), std::string::npos) << c.body << "\n" << error.message;
  }
}

TEST(CompletionsCodec, NamesTheFieldAndTheValueThatIsWrong) {
  const Wrong cases[] = {
      {R"({})", "prompt", "missing"},
      {R"({"prompt":7})", "prompt", "got 7"},
      {R"({"prompt":["a",[1],2]})", "prompt", "not both"},
      {R"({"prompt":["a",[1,-1]]})", "prompt[1][1]", "-1"},
      {R"({"prompt":"x","best_of":2,"n":3})", "best_of", "at least n, which is 3, got 2"},
      {R"({"prompt":"x","best_of":2,"stream":true})", "best_of", "leave out stream"},
      {R"({"prompt":"x","prompt_logprobs":1,"stream":true})", "prompt_logprobs", "leave out stream"},
      {R"({"prompt":"x","prompt_logprobs":21})", "prompt_logprobs", "21"},
      {R"({"prompt":"x","resume":{}})", "resume.token_ids", "missing"},
      {R"({"prompt":"x","resume":{"token_ids":[1,"a"]}})", "resume.token_ids[1]", "\"a\""},
      {R"({"prompt":"x","resume":{"token_ids":[[1],[2]]}})", "resume.token_ids", "each of 1 choices, got 2"},
      {R"({"prompt":"x","n":2,"resume":{"token_ids":[1]}})", "resume.token_ids", "each of 2 choices, got 1"},
      {R"({"prompt":"x","min_tokens":5,"max_tokens":4})", "min_tokens",
       "at most max_tokens, which is 4, got 5"},
      {R"({"prompt":"x","grammar":"root ::= [a]","response_format":{"type":"json_object"}})",
       "response_format", "leave one of them out"},
      {R"({"prompt":"x","response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{}}},"grammar":"a"})",
       "grammar", "leave one of them out"},
      {R"({"prompt":"x","mirostat":2})", "mirostat", "not supported"},
      {R"({"prompt":"x","xtc_probability":0.5})", "xtc_probability", "not supported"},
      {R"({"prompt":[1,-2]})", "prompt[1]", "-2"},
      {R"({"prompt":"x","max_tokens":0})", "max_tokens", "at least 1, unless echo"},
      {R"({"prompt":"x","max_tokens":-5})", "max_tokens", "-5"},
      {R"({"prompt":"x","max_tokens":"many"})", "max_tokens", "\"many\""},
      {R"({"prompt":"x","max_tokens":1e300})", "max_tokens", "1e+300"},
      {R"({"prompt":"x","temperature":2.1})", "temperature", "between 0 and 2, got 2.1"},
      {R"({"prompt":"x","top_p":-0.1})", "top_p", "between 0 and 1"},
      {R"({"prompt":"x","top_k":-2})", "top_k", "-2"},
      {R"({"prompt":"x","n":0})", "n", "between 1 and 128"},
      {R"({"prompt":"x","n":100000})", "n", "100000"},
      {R"({"prompt":"x","stop":[""]})", "stop", "empty"},
      {R"({"prompt":"x","stop":["a",1]})", "stop[1]", "got 1"},
      {R"({"prompt":"x","seed":1.5})", "seed", "1.5"},
      {R"({"prompt":"x","stream":"yes"})", "stream", "true or false"},
      {R"({"prompt":"x","stream_options":{"include_usage":1}})", "stream_options.include_usage",
       "true or false"},
      {R"({"prompt":"x","logit_bias":{"x":1}})", "logit_bias", "\"x\""},
      {R"({"prompt":"x","logit_bias":{"5":101}})", "logit_bias.5", "101"},
      {R"({"prompt":"x","repetition_penalty":0})", "repetition_penalty", "above 0"},
      {R"({"prompt":"x","logprobs":21})", "logprobs", "21"},
      {R"({"prompt":"x","tools":[{}]})", "tools", "not supported"},
      {R"({"prompt":"x","model":5})", "model", "a string"},
  };
  expect_named(cases);
}

TEST(CompletionsCodec, NamesWhatIsWrongWithFieldsOfOtherServers) {
  const Wrong cases[] = {
      {R"({"prompt":"x","logit_bias":[[5,1],[6]]})", "logit_bias[1]", "a pair"},
      {R"({"prompt":"x","logit_bias":[["a",1]]})", "logit_bias[0][0]", "a token id"},
      {R"({"prompt":"x","allowed_token_ids":[]})", "allowed_token_ids", "at least one"},
      {R"({"prompt":"x","bad_words":[""]})", "bad_words", "empty"},
      {R"({"prompt":"x","truncate_prompt_tokens":0})", "truncate_prompt_tokens", "-1, or"},
      {R"({"prompt":"x","truncation_side":"up"})", "truncation_side", "\"left\" or"},
      {R"({"prompt":"x","suffix":"y","echo":true})", "suffix", "exclude each other"},
      {R"({"prompt":[1],"suffix":"y"})", "suffix", "a text"},
      {R"({"prompt":"x","stream_options":{"continuous_usage_stats":true}})",
       "stream_options.continuous_usage_stats", "not supported"},
      {R"({"prompt":"x","guided_regex":"(?!a)b"})", "guided_regex", "lookaround"},
      {R"({"prompt":"x","guided_choice":[]})", "guided_choice", "at least one"},
      {R"({"prompt":"x","guided_choice":["a"],"guided_regex":"b"})", "guided_regex",
       "guided_regex and guided_choice exclude"},
      {R"({"prompt":"x","structured_outputs":{"regex":"a","choice":["b"]}})", "structured_outputs.choice",
       "exclude each other"},
      {R"({"prompt":"x","structured_outputs":{"structural_tag":"a"}})", "structured_outputs.structural_tag",
       "not supported"},
      {R"({"prompt":"x","structured_outputs":{"json_object":true,"disable_any_whitespace":true}})",
       "structured_outputs.disable_any_whitespace", "not supported"},
      {R"({"prompt":"x","structured_outputs":{"json":{},"disable_additional_properties":true}})",
       "structured_outputs.disable_additional_properties", "not supported"},
      {R"({"prompt":"x","response_format":{"type":"structural_tag"}})", "response_format.type", "must be"},
  };
  expect_named(cases);
}

TEST(CompletionsCodec, ListsAreSoLongAndNoLonger) {
  struct Case {
    const char* field;
    const char* item;
    std::size_t most;
  };
  for (const Case& c :
       {Case{"stop", R"("a")", 16}, Case{"bad_words", R"("a")", 256}, Case{"guided_choice", R"("a")", 1000},
        Case{"logit_bias", "[5,1]", 1024}, Case{"prompt", R"("a")", 256}}) {
    const auto body = [&](std::size_t count) {
      std::string list;
      for (std::size_t i = 0; i < count; ++i) list.append(i == 0 ? "" : ",").append(c.item);
      const char* prompt = std::string_view(c.field) == "prompt" ? "" : R"("prompt":"x",)";
      return fmt::format(R"({{{}"{}":[{}]}})", prompt, c.field, list);
    };
    const auto call = CompletionsCodec().decode(body(c.most));
    EXPECT_TRUE(call && !call->generation()->refusal) << c.field;
    const Error error = error_of(body(c.most + 1));
    EXPECT_EQ(error.param, c.field);
    EXPECT_NE(error.message.find(fmt::format("at most {}", c.most)), std::string::npos) << error.message;
  }
}

TEST(CompletionsCodec, ReadsFormatsByAllTheirNames) {
  using Kind = OutputFormat::Kind;
  struct Case {
    const char* members;
    Kind kind;
    const char* definition;
    const char* field;
  };
  const Case cases[] = {
      {R"("response_format":{"type":"json_object"})", Kind::kJsonObject, "", "response_format"},
      {R"("response_format":{"type":"json_object","schema":{"type":"array"}})", Kind::kJsonSchema,
       R"({"type":"array"})", "response_format"},
      {R"("response_format":{"schema":{"a":1},"type":"json_object"})", Kind::kJsonSchema, R"({"a":1})",
       "response_format"},
      {R"("response_format":{"type":"json_schema","json_schema":{"name":"a"}})", Kind::kJsonObject, "",
       "response_format"},
      {R"("json_schema":{"a":1})", Kind::kJsonSchema, R"({"a":1})", "json_schema"},
      {R"("guided_json":"{\"a\":1}")", Kind::kJsonSchema, R"({"a":1})", "guided_json"},
      {R"("structured_outputs":{"json":{"a":1},"regex":null})", Kind::kJsonSchema, R"({"a":1})",
       "structured_outputs.json"},
      {R"("structured_outputs":{"json_object":true})", Kind::kJsonObject, "",
       "structured_outputs.json_object"},
      {R"("guided_choice":["yes","a\"b"])", Kind::kGrammar, R"(root ::= "yes" | "a\x22b")", "guided_choice"},
      {R"("guided_regex":"a+")", Kind::kGrammar, R"(root ::= "a"+)", "guided_regex"},
      {R"("guided_grammar":"root ::= [a]")", Kind::kGrammar, "root ::= [a]", "guided_grammar"},
      {R"("grammar":"root ::= [a]")", Kind::kGrammar, "root ::= [a]", "grammar"},
  };
  for (const Case& c : cases) {
    const auto call = CompletionsCodec().decode(std::string(R"({"prompt":"x",)") + c.members + "}");
    ASSERT_TRUE(call) << c.members << call.error().message;
    EXPECT_FALSE(call->generation()->refusal) << c.members;
    EXPECT_EQ(call->generation()->format.kind, c.kind) << c.members;
    EXPECT_EQ(call->generation()->format.definition, c.definition) << c.members;
    EXPECT_EQ(call->generation()->format.field(), c.field) << c.members;
  }
}

TEST(CompletionsCodec, TakesTheNewestNameOfALimit) {
  const auto limit = [](const char* members) {
    return CompletionsCodec()
        .decode(std::string(R"({"prompt":"x")") + members + "}")
        ->generation()
        ->stop.max_tokens;
  };
  EXPECT_EQ(limit(R"(,"max_completion_tokens":3,"max_tokens":5,"n_predict":7)"), 3U);
  EXPECT_EQ(limit(R"(,"n_predict":7,"max_tokens":5,"max_completion_tokens":3)"), 3U);
  EXPECT_EQ(limit(R"(,"n_predict":7,"max_tokens":5)"), 5U);
  EXPECT_EQ(limit(R"(,"n_predict":7)"), 7U);
  EXPECT_EQ(limit(R"(,"n_predict":0)"), 0U);
  EXPECT_EQ(limit(R"(,"n_predict":-1)"), std::nullopt);
  EXPECT_EQ(limit(""), 16U);
}

TEST(CompletionsCodec, TakesWhatLlamaServerAndVllmCallTheirs) {
  const auto call = CompletionsCodec().decode(
      R"({"prompt":"x","logit_bias":[[5,1.5],[6,false]],"top_p":0,"repeat_penalty":1.1,"n_probs":2,"suffix":"y",)"
      R"("parse_special":false,"truncate_prompt_tokens":9,"truncation_side":"right"})");
  ASSERT_TRUE(call) << call.error().message;
  const GenerateRequest& work = *call->generation();
  EXPECT_EQ(work.sampling.logit_bias, (std::vector<std::pair<TokenId, float>>{{5, 1.5F}, {6, -INFINITY}}));
  EXPECT_EQ(work.sampling.top_p, 0.0);
  EXPECT_EQ(work.sampling.repetition_penalty, 1.1);
  EXPECT_EQ(work.top_logprobs, 2U);
  const auto& prompt = std::get<TextPrompt>(work.prompts.front());
  EXPECT_EQ(prompt.suffix, "y");
  EXPECT_FALSE(prompt.parse_special);
  EXPECT_EQ(work.truncation->tokens, 9);
  EXPECT_TRUE(work.truncation->keeps_beginning);
}

TEST(CompletionsCodec, ShowsTheChosenTokenAmongTheLikeliest) {
  auto call = CompletionsCodec().decode(R"({"prompt":"x","logprobs":1})");
  const auto encoder = call->make_encoder(kFacts);
  std::string out;
  const TokenLogprob first{.token = 1, .logprob = -0.5, .bytes = "a"};
  const TokenLogprob second{.token = 2, .logprob = -1, .bytes = "b"};
  encoder->events(
      {.events = {{.logprobs = {{.chosen = second, .top = {first}}, {.chosen = first, .top = {first}}}}}},
      out);
  encoder->end({}, out);
  EXPECT_NE(out.find(R"("top_logprobs":[{"a":-0.5,"b":-1},{"a":-0.5}])"), std::string::npos) << out;
}

TEST(CompletionsCodec, WritesTheDocument) {
  auto call = CompletionsCodec().decode(R"({"prompt":"Hi","n":2})");
  ASSERT_TRUE(call);
  const auto encoder = call->make_encoder(kFacts);
  std::string out;
  encoder->events({.events = {token(0, 0, "a\""), token(1, 0, "x")}}, out);
  encoder->events(
      {.events = {token(0, 1, "b"), finish(0, FinishReason::kLength), finish(1, FinishReason::kStop)}}, out);
  EXPECT_EQ(out, "");
  encoder->end({.prompt_tokens = 3, .cached_tokens = 1, .completion_tokens = 4}, out);
  EXPECT_EQ(
      out,
      R"({"id":"cmpl-1","object":"text_completion","created":1700000000,"model":"m","choices":[)"
      R"({"index":0,"text":"a\"b","logprobs":null,"finish_reason":"length"},)"
      R"({"index":1,"text":"x","logprobs":null,"finish_reason":"stop"}],)"
      R"("usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":1}}})");
  EXPECT_EQ(encoder->content_type(), "application/json");
}

TEST(CompletionsCodec, WritesTheStream) {
  auto call = CompletionsCodec().decode(R"({"prompt":"Hi","stream":true})");
  ASSERT_TRUE(call);
  const auto encoder = call->make_encoder(kFacts);
  std::string out;
  encoder->events({.events = {token(0, 0, "a"), token(0, 1, "")}}, out);  // half a character makes no frame
  EXPECT_EQ(
      out,
      "data: "
      "{\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":1700000000,\"model\":\"m\",\"choices\":["
      "{\"index\":0,\"text\":\"a\",\"logprobs\":null,\"finish_reason\":null}]}\n\n");
  out.clear();
  encoder->events({.events = {finish(0, FinishReason::kStop)}}, out);
  encoder->end({}, out);
  EXPECT_EQ(
      out,
      "data: "
      "{\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":1700000000,\"model\":\"m\",\"choices\":["
      "{\"index\":0,\"text\":\"\",\"logprobs\":null,\"finish_reason\":\"stop\"}]}\n\n"
      "data: [DONE]\n\n");
}

TEST(CompletionsCodec, StreamsUsageAndEventIdsWhenAsked) {
  auto call = CompletionsCodec().decode(
      R"({"prompt":"Hi","stream":true,"stream_options":{"include_usage":true,"include_event_ids":true}})");
  ASSERT_TRUE(call);
  const auto encoder = call->make_encoder(kFacts);
  std::string out;
  encoder->events({.events = {token(0, 0, "a")}}, out);
  encoder->end({.prompt_tokens = 2, .completion_tokens = 1}, out);
  EXPECT_EQ(out.find("id: 0\ndata: "), 0U);
  EXPECT_NE(out.find("\"usage\":null}\n\nid: 1\ndata: "), std::string::npos) << out;
  EXPECT_NE(out.find(R"("choices":[],"usage":{"prompt_tokens":2,"completion_tokens":1,"total_tokens":3,)"),
            std::string::npos)
      << out;
  EXPECT_TRUE(out.ends_with("data: [DONE]\n\n"));
}

TEST(CompletionsCodec, EndsABrokenStreamWithOneErrorEvent) {
  auto call = CompletionsCodec().decode(R"({"prompt":"Hi","stream":true})");
  const auto encoder = call->make_encoder(kFacts);
  std::string out;
  encoder->failure(Error{.code = ErrorCode::kUnavailable, .message = "gone"}, out);
  EXPECT_EQ(
      out,
      "data: {\"error\":{\"message\":\"gone\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n");
}

}  // namespace
}  // namespace autoglm::protocol::openai
