#include "gateway/protocol/anthropic/body.h"

#include "gateway/protocol/anthropic/messages_codec.h"

#include <gtest/gtest.h>

#include <string>

namespace autoglm::protocol::anthropic {
namespace {

constexpr const char* kAsked = R"("max_tokens":9,"messages":[{"role":"user","content":"x"}])";

Result<DecodedCall> decode(const std::string& members) { return MessagesCodec().decode("{" + members + "}"); }

const ChatPrompt& chat_of(const Result<DecodedCall>& call) {
  return std::get<ChatPrompt>(call->generation()->prompts.front());
}

TEST(AnthropicBody, ReadsConversationsInAllTheirShapes) {
  const auto call = decode(R"("model":"m","max_tokens":9,"system":[{"type":"text","text":"Be"},
    {"type":"text","text":"brief.","cache_control":{"type":"ephemeral"}}],"messages":[
    {"role":"user","content":"Hel"},
    {"role":"user","content":[{"type":"text","text":"lo"}]},
    {"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},
      {"type":"redacted_thinking","data":"zzz"},{"type":"text","text":"I look."},
      {"input":{"a": 1},"name":"f","id":"t1","type":"tool_use"},{"type":"tool_use","id":"t2","name":"g","input":{}}]},
    {"role":"user","content":[
      {"type":"tool_result","tool_use_id":"t1","content":"one"},
      {"type":"tool_result","tool_use_id":"t2","is_error":true,"content":[{"type":"text","text":"no"},{"type":"text","text":"way"}]},
      {"type":"text","text":"And?"}]}])");
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_EQ(call->model, "m");
  EXPECT_EQ(call->unknown_fields, 0U);
  EXPECT_EQ(call->protocol, WireBody::Protocol::kNone);
  EXPECT_EQ(call->generation()->stop.max_tokens, 9U);
  EXPECT_FALSE(call->generation()->refusal);
  const auto& messages = chat_of(call).messages;
  ASSERT_EQ(messages.size(), 6U);
  EXPECT_EQ(messages[0].role, "system");
  EXPECT_EQ(messages[0].content, "Be\nbrief.");
  EXPECT_EQ(messages[1].content, "Hel\nlo") << "turns of one role in a row are one";
  EXPECT_EQ(messages[2].reasoning, "hm");
  EXPECT_EQ(messages[2].content, "I look.");
  ASSERT_EQ(messages[2].tool_calls.size(), 2U);
  EXPECT_EQ(messages[2].tool_calls[0].arguments, R"({"a":1})");
  EXPECT_EQ(messages[2].tool_calls[1].id, "t2");
  EXPECT_EQ(messages[3].role, "tool");
  EXPECT_EQ(messages[3].tool_call_id, "t1");
  EXPECT_EQ(messages[3].name, "f");
  EXPECT_EQ(messages[4].content, "Error: no\nway");
  EXPECT_EQ(messages[5].content, "And?");
  EXPECT_FALSE(chat_of(call).continue_final_message);
}

TEST(AnthropicBody, ReadsToolsAndWhichOfThemToCall) {
  const std::string tools =
      R"(,"tools":[{"name":"f","description":"d","input_schema":{"type":"object"},"strict":true},)"
      R"({"type":"custom","name":"g","input_schema":{"type":"object"}}])";
  const auto with = [&](const std::string& choice) {
    return decode(kAsked + tools + (choice.empty() ? "" : R"(,"tool_choice":)" + choice));
  };
  const auto plain = with("");
  ASSERT_TRUE(plain) << plain.error().message;
  ASSERT_EQ(chat_of(plain).tools.size(), 2U);
  EXPECT_EQ(chat_of(plain).tools[0].description, "d");
  EXPECT_EQ(chat_of(plain).tools[0].parameters, R"({"type":"object"})");
  EXPECT_EQ(chat_of(plain).tool_use, ToolUse::kAuto);
  EXPECT_TRUE(chat_of(plain).parallel_tool_calls);
  const auto one = with(R"({"type":"auto","disable_parallel_tool_use":true})");
  EXPECT_FALSE(chat_of(one).parallel_tool_calls);
  EXPECT_EQ(chat_of(with(R"({"type":"none"})")).tool_use, ToolUse::kNone);
  EXPECT_EQ(chat_of(with(R"({"type":"any"})")).tool_use, ToolUse::kRequired);
  const auto named = with(R"({"type":"tool","name":"g"})");
  EXPECT_EQ(chat_of(named).tool_use, ToolUse::kRequired);
  ASSERT_EQ(chat_of(named).tools.size(), 1U);
  EXPECT_EQ(chat_of(named).tools[0].name, "g");
}

TEST(AnthropicBody, ReadsWhatChangesTheAnswer) {
  const auto call = decode(std::string(kAsked) + R"(,"temperature":0.5,"top_p":0.25,"top_k":7,"stream":true,
    "stop_sequences":["a","b"],"output_config":{"effort":"low","format":{"type":"json_schema","schema":{"type":"object"}}},
    "metadata":{"user_id":"u"},"service_tier":"auto","thinking":{"type":"enabled","budget_tokens":1024})");
  ASSERT_TRUE(call) << call.error().message;
  const GenerateRequest& work = *call->generation();
  EXPECT_TRUE(call->stream);
  EXPECT_EQ(work.sampling.temperature, 0.5);
  EXPECT_EQ(work.sampling.top_p, 0.25);
  EXPECT_EQ(work.sampling.top_k, 7);
  EXPECT_EQ(work.stop.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(work.format.kind, OutputFormat::Kind::kJsonSchema);
  EXPECT_EQ(work.format.field(), "output_config.format");
  EXPECT_EQ(chat_of(call).template_arguments.at("enable_thinking"), "true");
  EXPECT_EQ(chat_of(call).template_arguments.at("thinking_budget"), "1024");
  EXPECT_EQ(chat_of(call).template_arguments.at("reasoning_effort"), "\"low\"");
  const auto adaptive = decode(std::string(kAsked) + R"(,"thinking":{"type":"adaptive"})");
  EXPECT_EQ(chat_of(adaptive).template_arguments.at("enable_thinking"), "true");
  const auto off = decode(std::string(kAsked) + R"(,"thinking":{"type":"disabled"})");
  EXPECT_EQ(chat_of(off).template_arguments.at("enable_thinking"), "false");
  EXPECT_TRUE(chat_of(decode(kAsked)).template_arguments.empty()) << "the template's own way";
}

TEST(AnthropicBody, AMessageOfTheAssistantAtTheEndIsContinued) {
  const auto call = decode(
      R"("max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"It is"}])");
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_TRUE(chat_of(call).continue_final_message);
  EXPECT_FALSE(chat_of(call).add_generation_prompt);
}

struct WrongField {
  const char* members;  ///< behind those of a right body, unless they are of a body that lacks something
  const char* param;
  bool lacks = false;
};

constexpr WrongField kWrongFields[] = {
    {R"("max_tokens":9)", "messages", true},
    {R"("messages":[{"role":"user","content":"x"}])", "max_tokens", true},
    {R"("max_tokens":0)", "max_tokens"},
    {R"("max_tokens":"9")", "max_tokens"},
    {R"("model":7)", "model"},
    {R"("stream":"yes")", "stream"},
    {R"("temperature":1.5)", "temperature"},
    {R"("top_p":-1)", "top_p"},
    {R"("top_k":-1)", "top_k"},
    {R"("top_k":1.5)", "top_k"},
    {R"("stop_sequences":"x")", "stop_sequences"},
    {R"("stop_sequences":[""])", "stop_sequences"},
    {R"("stop_sequences":["a","b","c","d","e","f","g","h","i","j","k","l","m","n","o","p","q"])",
     "stop_sequences"},
    {R"("messages":"hi")", "messages"},
    {R"("messages":[])", "messages"},
    {R"("messages":[7])", "messages[0]"},
    {R"("messages":[{"content":"x"}])", "messages[0].role"},
    {R"("messages":[{"role":"king","content":"x"}])", "messages[0].role"},
    {R"("messages":[{"role":"user"}])", "messages[0].content"},
    {R"("messages":[{"role":"user","content":7}])", "messages[0].content"},
    {R"("messages":[{"role":"user","content":[]}])", "messages[0].content"},
    {R"("messages":[{"role":"user","content":[{"text":"x"}]}])", "messages[0].content[0].type"},
    {R"("messages":[{"role":"user","content":[{"type":"text"}]}])", "messages[0].content[0].text"},
    {R"("messages":[{"role":"user","content":[{"type":"image","source":{}}]}])", "messages[0].content[0]"},
    {R"("messages":[{"role":"user","content":[{"type":"document","source":{}}]}])", "messages[0].content[0]"},
    {R"("messages":[{"role":"user","content":[{"type":"search_result"}]}])", "messages[0].content[0]"},
    {R"("messages":[{"role":"user","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]}])",
     "messages[0].content[0].type"},
    {R"("messages":[{"role":"assistant","content":[{"type":"tool_result","tool_use_id":"a"}]}])",
     "messages[0].content[0].type"},
    {R"("messages":[{"role":"user","content":[{"type":"tool_result"}]}])",
     "messages[0].content[0].tool_use_id"},
    {R"("messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"image"}]}]}])",
     "messages[0].content[0].content[0]"},
    {R"("messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f"}]}])",
     "messages[0].content[0].input"},
    {R"("messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":"{}"}]}])",
     "messages[0].content[0].input"},
    {R"("messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]}])",
     "messages"},
    {R"("system":7)", "system"},
    {R"("system":[{"type":"image"}])", "system[0]"},
    {R"("tools":{})", "tools"},
    {R"("tools":[{"input_schema":{}}])", "tools[0].name"},
    {R"("tools":[{"name":"f"}])", "tools[0].input_schema"},
    {R"("tools":[{"name":"f","input_schema":[]}])", "tools[0].input_schema"},
    {R"("tools":[{"type":"web_search_20250305","name":"web_search"}])", "tools[0].type"},
    {R"("tool_choice":"auto")", "tool_choice"},
    {R"("tool_choice":{"type":"sometimes"})", "tool_choice.type"},
    {R"("tool_choice":{"type":"tool"})", "tool_choice.name"},
    {R"("tool_choice":{"type":"any"})", "tool_choice"},
    {R"("tool_choice":{"type":"tool","name":"g"},"tools":[{"name":"f","input_schema":{}}])",
     "tool_choice.name"},
    {R"("thinking":{"type":"perhaps"})", "thinking.type"},
    {R"("thinking":{"type":"enabled"})", "thinking.budget_tokens"},
    {R"("thinking":{"type":"enabled","budget_tokens":0})", "thinking.budget_tokens"},
    {R"("thinking":{"type":"adaptive","display":"loud"})", "thinking.display"},
    {R"("output_config":{"effort":"most"})", "output_config.effort"},
    {R"("output_config":{"format":{"type":"xml"}})", "output_config.format.type"},
    {R"("output_config":{"format":{"type":"json_schema"}})", "output_config.format.schema"},
    {R"("metadata":{"user_id":7})", "metadata.user_id"},
    {R"("service_tier":"batch")", "service_tier"},
    {R"("mcp_servers":[{"url":"x"}])", "mcp_servers"},
    {R"("container":"c")", "container"},
    {R"("context_management":{"edits":[]})", "context_management"},
};

TEST(AnthropicBody, NamesTheFieldThatIsWrong) {
  for (const WrongField& c : kWrongFields) {
    const auto call = decode(c.lacks ? c.members : std::string(kAsked) + "," + c.members);
    ASSERT_TRUE(!call || call->generation()->refusal) << c.members;
    const Error& error = call ? *call->generation()->refusal : call.error();
    EXPECT_EQ(error.code, ErrorCode::kInvalidArgument) << c.members;
    EXPECT_EQ(error.param, c.param) << error.message;
    EXPECT_NE(error.message.find(c.param), std::string::npos) << error.message;
  }
}

TEST(AnthropicBody, CountsWhatItDoesNotKnowAndNotWhatChangesNothing) {
  EXPECT_EQ(
      decode(std::string(kAsked) + R"(,"speed":"fast","betas":[],"nobody":1,"knows":2)")->unknown_fields, 2U);
  EXPECT_TRUE(decode(std::string(kAsked) + R"(,"mcp_servers":[],"container":null)"));
  EXPECT_FALSE(decode(std::string(kAsked) + R"(,"mcp_servers":[],"container":null)")->generation()->refusal);
}

TEST(AnthropicBody, TokensAreCountedOfAllThatMakesThePrompt) {
  const auto call = decode_count_tokens(
      R"({"model":"m","system":"s","messages":[{"role":"user","content":"x"}],"thinking":{"type":"disabled"},
      "tools":[{"name":"f","input_schema":{"type":"object"}}]})");
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_EQ(call->model, "m");
  const auto& chat = std::get<ChatPrompt>(call->work.prompt);
  EXPECT_EQ(chat.messages.size(), 2U);
  EXPECT_EQ(chat.tools.size(), 1U);
  EXPECT_EQ(chat.template_arguments.at("enable_thinking"), "false");
  EXPECT_EQ(count_tokens_body({.tokens = {1, 2, 3}}), R"({"input_tokens":3})");
  const auto image =
      decode_count_tokens(R"({"messages":[{"role":"user","content":[{"type":"image","source":{}}]}]})");
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().param, "messages[0].content[0]");
}

TEST(AnthropicBody, ErrorsHaveAnthropicsWords) {
  EXPECT_EQ(error_body({.code = ErrorCode::kUnavailable, .message = "a \"b\""}),
            R"({"type":"error","error":{"type":"overloaded_error","message":"a \"b\""}})");
  EXPECT_EQ(error_type(ErrorCode::kInvalidArgument), "invalid_request_error");
  EXPECT_EQ(error_type(ErrorCode::kUnauthenticated), "authentication_error");
  EXPECT_EQ(error_type(ErrorCode::kPermissionDenied), "permission_error");
  EXPECT_EQ(error_type(ErrorCode::kNotFound), "not_found_error");
  EXPECT_EQ(error_type(ErrorCode::kPayloadTooLarge), "request_too_large");
  EXPECT_EQ(error_type(ErrorCode::kResourceExhausted), "rate_limit_error");
  EXPECT_EQ(error_type(ErrorCode::kDeadlineExceeded), "timeout_error");
  EXPECT_EQ(error_type(ErrorCode::kInternal), "api_error");
}

}  // namespace
}  // namespace autoglm::protocol::anthropic
