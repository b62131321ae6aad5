#include "gateway/protocol/grpc/text_codecs.h"

#include "gateway/protocol/grpc/frames.h"

#include <gtest/gtest.h>
#include <openautoglm/v1/inference.pb.h>

#include <functional>
#include <limits>
#include <utility>
#include <vector>

namespace autoglm::protocol::grpc {
namespace {

namespace v1 = ::openautoglm::v1;

v1::GenerateRequest hello() {
  v1::GenerateRequest request;
  request.set_text("Hello");
  return request;
}

v1::ChatRequest chat() {
  v1::ChatRequest request;
  v1::Message& message = *request.add_messages();
  message.set_role("user");
  message.set_content("Hello");
  return request;
}

Result<DecodedCall> decode(const v1::GenerateRequest& request) {
  return GenerateCodec().decode(request.SerializeAsString());
}
Result<DecodedCall> decode(const v1::ChatRequest& request) {
  return ChatCodec().decode(request.SerializeAsString());
}

template <class Message>
std::vector<Message> messages(std::string_view bytes) {
  std::vector<Message> read;
  while (!bytes.empty()) {
    const auto size = read_prefix(bytes)->size;
    read.push_back(parse<Message>(bytes.substr(kPrefix, size)).value());
    bytes.remove_prefix(kPrefix + size);
  }
  return read;
}

TEST(GrpcGenerate, ReadsAllFields) {
  v1::GenerateRequest request = hello();
  request.set_model("m");
  request.mutable_sampling()->set_temperature(0.5);
  request.mutable_sampling()->set_top_k(-1);
  request.mutable_sampling()->set_seed(~0ULL);
  (*request.mutable_sampling()->mutable_logit_bias())[7] = -2;
  request.mutable_stop()->set_max_tokens(9);
  request.mutable_stop()->add_stop("end");
  request.mutable_stop()->add_stop_token_ids(2);
  request.mutable_stop()->set_ignore_eos(true);
  request.mutable_format()->set_json_schema("{}");
  request.mutable_report()->set_top_logprobs(3);
  request.set_n(2);
  request.set_priority(4);
  request.set_cache_salt("s");
  const auto call = decode(request);
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_EQ(call->model, "m");
  EXPECT_TRUE(call->stream);
  EXPECT_EQ(call->priority, 4);
  EXPECT_EQ(call->protocol, WireBody::Protocol::kNone);
  const GenerateRequest& work = *call->generation();
  EXPECT_EQ(std::get<TextPrompt>(work.prompts.front()).text, "Hello");
  EXPECT_EQ(work.sampling.temperature, 0.5);
  EXPECT_EQ(work.sampling.top_k, 0);
  EXPECT_EQ(work.sampling.top_p, std::nullopt);
  EXPECT_EQ(work.sampling.seed, ~0ULL);
  EXPECT_EQ(work.sampling.logit_bias, (std::vector<std::pair<TokenId, float>>{{7, -2.0F}}));
  EXPECT_EQ(work.stop.max_tokens, 9U);
  EXPECT_EQ(work.stop.stop, std::vector<std::string>{"end"});
  EXPECT_EQ(work.stop.stop_tokens, std::vector<TokenId>{2});
  EXPECT_TRUE(work.stop.ignore_eos);
  EXPECT_EQ(work.format.kind, OutputFormat::Kind::kJsonSchema);
  EXPECT_EQ(work.format.field(), "format.json_schema");
  EXPECT_EQ(work.top_logprobs, 3U);
  EXPECT_EQ(work.n, 2U);
  EXPECT_EQ(work.cache_salt, "s");
}

TEST(GrpcGenerate, DefaultsAreThoseOfCompletions) {
  const auto call = decode(hello());
  ASSERT_TRUE(call);
  EXPECT_EQ(call->generation()->stop.max_tokens, 16U);
  EXPECT_EQ(call->generation()->n, 1U);
  EXPECT_EQ(decode(chat())->generation()->stop.max_tokens, std::nullopt);
}

TEST(GrpcGenerate, AWrongFieldIsNamed) {
  using Change = std::function<void(v1::GenerateRequest&)>;
  const std::vector<std::pair<std::string, Change>> wrong = {
      {"prompt", [](auto& r) { r.clear_text(); }},
      {"tokens.ids[1]", [](auto& r) { r.mutable_tokens()->add_ids(1), r.mutable_tokens()->add_ids(-1); }},
      {"sampling.temperature", [](auto& r) { r.mutable_sampling()->set_temperature(2.5); }},
      {"sampling.temperature",
       [](auto& r) { r.mutable_sampling()->set_temperature(std::numeric_limits<double>::quiet_NaN()); }},
      {"sampling.top_p", [](auto& r) { r.mutable_sampling()->set_top_p(0); }},
      {"sampling.repetition_penalty", [](auto& r) { r.mutable_sampling()->set_repetition_penalty(0); }},
      {"sampling.logit_bias", [](auto& r) { (*r.mutable_sampling()->mutable_logit_bias())[1] = 101; }},
      {"sampling.logit_bias", [](auto& r) { (*r.mutable_sampling()->mutable_logit_bias())[-1] = 1; }},
      {"sampling.logit_bias",
       [](auto& r) {
         for (int i = 0; i < 1025; ++i) (*r.mutable_sampling()->mutable_logit_bias())[i] = 1;
       }},
      {"stop.max_tokens", [](auto& r) { r.mutable_stop()->set_max_tokens(0); }},
      {"stop.min_tokens", [](auto& r) { r.mutable_stop()->set_min_tokens(17); }},
      {"stop.stop", [](auto& r) { r.mutable_stop()->add_stop(""); }},
      {"stop.stop",
       [](auto& r) {
         for (int i = 0; i < 17; ++i) r.mutable_stop()->add_stop("x");
       }},
      {"stop.stop_token_ids[0]", [](auto& r) { r.mutable_stop()->add_stop_token_ids(-5); }},
      {"report.top_logprobs", [](auto& r) { r.mutable_report()->set_top_logprobs(21); }},
      {"n", [](auto& r) { r.set_n(129); }},
      {"priority", [](auto& r) { r.set_priority(10); }},
  };
  for (const auto& [field, change] : wrong) {
    v1::GenerateRequest request = hello();
    change(request);
    const auto call = decode(request);
    ASSERT_FALSE(call) << field;
    EXPECT_EQ(call.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(call.error().param, field);
    EXPECT_NE(call.error().message.find(field.substr(0, field.find('['))), std::string::npos)
        << call.error().message;
  }
}

TEST(GrpcChat, ReadsTheConversationAndItsTools) {
  v1::ChatRequest request = chat();
  v1::Message& answer = *request.add_messages();
  answer.set_role("assistant");
  v1::ToolCall& made = *answer.add_tool_calls();
  made.set_id("1");
  made.set_name("f");
  made.set_arguments("{}");
  v1::Tool& tool = *request.add_tools();
  tool.set_name("f");
  tool.set_parameters(R"({ "type": "object" })");
  request.set_tool_choice(v1::TOOL_CHOICE_REQUIRED);
  request.set_parallel_tool_calls(false);
  (*request.mutable_chat_template_kwargs())["enable_thinking"] = "false";
  const auto call = decode(request);
  ASSERT_TRUE(call) << call.error().message;
  const auto& prompt = std::get<ChatPrompt>(call->generation()->prompts.front());
  EXPECT_EQ(prompt.messages[0].content, "Hello");
  EXPECT_EQ(prompt.messages[1].tool_calls[0].name, "f");
  EXPECT_EQ(prompt.tools[0].parameters, R"({"type":"object"})");
  EXPECT_EQ(prompt.tool_use, ToolUse::kRequired);
  EXPECT_FALSE(prompt.parallel_tool_calls);
  EXPECT_EQ(prompt.template_arguments.at("enable_thinking"), "false");
}

TEST(GrpcChat, AWrongFieldIsNamed) {
  using Change = std::function<void(v1::ChatRequest&)>;
  const std::vector<std::pair<std::string, Change>> wrong = {
      {"messages", [](auto& r) { r.clear_messages(); }},
      {"messages[0].role", [](auto& r) { r.mutable_messages(0)->set_role("robot"); }},
      {"messages[0].tool_calls[0].name", [](auto& r) { r.mutable_messages(0)->add_tool_calls(); }},
      {"tools[0].name", [](auto& r) { r.add_tools(); }},
      {"tools[0].parameters",
       [](auto& r) {
         r.add_tools()->set_name("f");
         r.mutable_tools(0)->set_parameters("[]");
       }},
      {"tool_choice", [](auto& r) { r.set_tool_choice(v1::TOOL_CHOICE_REQUIRED); }},
      {"tool_choice", [](auto& r) { r.set_tool_choice(static_cast<v1::ToolChoice>(77)); }},
      {"continue_final_message", [](auto& r) { r.set_continue_final_message(true); }},
      {R"(chat_template_kwargs["a"])", [](auto& r) { (*r.mutable_chat_template_kwargs())["a"] = "no json"; }},
      // It would close the object that it is read in.
      {R"(chat_template_kwargs["a"])",
       [](auto& r) { (*r.mutable_chat_template_kwargs())["a"] = R"(1,"b":2)"; }},
  };
  for (const auto& [field, change] : wrong) {
    v1::ChatRequest request = chat();
    change(request);
    const auto call = decode(request);
    ASSERT_FALSE(call) << field;
    EXPECT_EQ(call.error().param, field);
  }
}

TEST(GrpcChat, AStreamIsAMessageABatchAndTheUsage) {
  v1::ChatRequest request = chat();
  request.mutable_report()->set_token_ids(true);
  const auto call = decode(request);
  ASSERT_TRUE(call);
  const auto encoder = call->make_encoder({.id = "7", .model = "m"});
  std::string out;
  encoder->events({.events = {{.tokens = {1}, .text = "a"}, {.choice = 1, .tokens = {2}, .reasoning = "hm"}}},
                  out);
  encoder->events({.events = {{.tool_calls = {{.id = "c", .name = "f", .arguments = "{"}}}}}, out);
  encoder->events({.events = {{.finish = FinishReason::kToolCalls}}}, out);
  encoder->end({.prompt_tokens = 3, .cached_tokens = 1, .completion_tokens = 2}, out);
  const auto told = messages<v1::ChatResponse>(out);
  ASSERT_EQ(told.size(), 4U);
  EXPECT_EQ(told[0].id(), "7");
  EXPECT_EQ(told[0].model(), "m");
  ASSERT_EQ(told[0].deltas_size(), 2);
  EXPECT_EQ(told[0].deltas(0).content(), "a");
  EXPECT_EQ(told[0].deltas(0).token_ids(0), 1);
  EXPECT_EQ(told[0].deltas(1).choice(), 1U);
  EXPECT_EQ(told[0].deltas(1).reasoning(), "hm");
  EXPECT_EQ(told[1].id(), "");
  EXPECT_EQ(told[1].deltas(0).tool_calls(0).name(), "f");
  EXPECT_EQ(told[2].deltas(0).finish_reason(), v1::FINISH_REASON_TOOL_CALLS);
  EXPECT_EQ(told[3].usage().cached_tokens(), 1U);
  EXPECT_EQ(told[3].usage().completion_tokens(), 2U);
}

TEST(GrpcGenerate, TokensWithoutTextAreNoMessageUnlessTheyAreAskedFor) {
  for (const bool asked : {false, true}) {
    v1::GenerateRequest request = hello();
    request.mutable_report()->set_token_ids(asked);
    const auto call = decode(request);
    const auto encoder = call->make_encoder({.id = "7", .model = "m"});
    std::string out;
    encoder->events({.events = {{.tokens = {1}}}}, out);
    EXPECT_EQ(messages<v1::GenerateResponse>(out).size(), asked ? 1U : 0U);
  }
}

TEST(GrpcGenerate, LogprobsComeWithTheirTokens) {
  v1::GenerateRequest request = hello();
  request.mutable_report()->set_top_logprobs(1);
  const auto encoder = decode(request)->make_encoder({});
  std::string out;
  encoder->events({.events = {{.tokens = {1},
                               .text = "a",
                               .logprobs = {{.chosen = {.token = 1, .logprob = -0.5, .bytes = "a"},
                                             .top = {{.token = 4, .logprob = -0.25, .bytes = "\xff"}}}}}}},
                  out);
  const auto told = messages<v1::GenerateResponse>(out);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].deltas(0).logprobs(0).chosen().logprob(), -0.5);
  EXPECT_EQ(told[0].deltas(0).logprobs(0).top(0).token(), 4);
  EXPECT_EQ(told[0].deltas(0).logprobs(0).top(0).text(), "\xff");
}

}  // namespace
}  // namespace autoglm::protocol::grpc
