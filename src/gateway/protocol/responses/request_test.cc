#include "gateway/protocol/responses/request.h"

#include "gateway/protocol/responses/input.h"
#include "gateway/protocol/responses/responses_codec.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace autoglm::protocol::responses {
namespace {

Result<DecodedCall> decode(const std::string& members) {
  return ResponsesCodec().decode("{" + members + "}");
}

const ChatPrompt& chat_of(const Result<DecodedCall>& call) {
  return std::get<ChatPrompt>(call->generation()->prompts.front());
}

TEST(ResponsesRequest, ReadsInputInAllItsShapes) {
  const auto text = decode(R"("model":"m","input":"Hello")");
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_EQ(text->model, "m");
  EXPECT_EQ(text->protocol, WireBody::Protocol::kNone);
  EXPECT_EQ(chat_of(text).messages.at(0).role, "user");
  EXPECT_EQ(chat_of(text).messages.at(0).content, "Hello");
  EXPECT_FALSE(text->generation()->stop.max_tokens) << "as far as the context reaches";

  const auto call = decode(R"("instructions":"Be brief.","input":[
    {"role":"developer","content":"Now."},
    {"type":"message","role":"user","content":[{"type":"input_text","text":"Hel"},{"type":"input_text","text":"lo"}]},
    {"type":"reasoning","id":"rs_1","summary":[],"content":[{"type":"reasoning_text","text":"hm"}]},
    {"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"I look.","annotations":[]}]},
    {"type":"function_call","id":"fc_1","call_id":"c1","name":"f","arguments":"{\"a\":1}"},
    {"type":"function_call","call_id":"c2","name":"g","arguments":"{}"},
    {"type":"function_call_output","call_id":"c1","output":"one"},
    {"type":"function_call_output","call_id":"c2","output":[{"type":"input_text","text":"two"}]}])");
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_EQ(call->unknown_fields, 0U);
  const auto& messages = chat_of(call).messages;
  ASSERT_EQ(messages.size(), 6U);
  EXPECT_EQ(messages[0].content, "Be brief.");
  EXPECT_EQ(messages[1].role, "system");
  EXPECT_EQ(messages[2].content, "Hel\nlo");
  EXPECT_EQ(messages[3].role, "assistant");
  EXPECT_EQ(messages[3].reasoning, "hm");
  EXPECT_EQ(messages[3].content, "I look.");
  ASSERT_EQ(messages[3].tool_calls.size(), 2U);
  EXPECT_EQ(messages[3].tool_calls[0].id, "c1");
  EXPECT_EQ(messages[3].tool_calls[0].arguments, R"({"a":1})");
  EXPECT_EQ(messages[4].role, "tool");
  EXPECT_EQ(messages[4].tool_call_id, "c1");
  EXPECT_EQ(messages[4].name, "f");
  EXPECT_EQ(messages[5].content, "two");
}

TEST(ResponsesRequest, ReadsToolsAndWhichOfThemToCall) {
  const auto with = [](const std::string& choice) {
    return decode(R"("input":"x","tools":[{"type":"function","name":"f","description":"d","strict":true,)"
                  R"("parameters":{"type":"object"}},{"type":"function","name":"g","parameters":null}])" +
                  (choice.empty() ? "" : R"(,"tool_choice":)" + choice));
  };
  const auto plain = with("");
  ASSERT_TRUE(plain) << plain.error().message;
  ASSERT_EQ(chat_of(plain).tools.size(), 2U);
  EXPECT_EQ(chat_of(plain).tools[0].description, "d");
  EXPECT_EQ(chat_of(plain).tools[0].parameters, R"({"type":"object"})");
  EXPECT_EQ(chat_of(plain).tools[1].parameters, R"({"type":"object","properties":{}})");
  EXPECT_TRUE(chat_of(plain).parallel_tool_calls);
  EXPECT_EQ(chat_of(with("\"none\"")).tool_use, ToolUse::kNone);
  EXPECT_EQ(chat_of(with("\"required\"")).tool_use, ToolUse::kRequired);
  const auto named = with(R"({"type":"function","name":"g"})");
  EXPECT_EQ(chat_of(named).tool_use, ToolUse::kRequired);
  EXPECT_EQ(chat_of(named).tools.at(0).name, "g");
  EXPECT_FALSE(chat_of(named).parallel_tool_calls) << "a function that is named is called once";
  const auto allowed =
      with(R"({"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"f"}]})");
  EXPECT_EQ(chat_of(allowed).tool_use, ToolUse::kAuto);
  EXPECT_EQ(chat_of(allowed).tools.size(), 1U);
}

TEST(ResponsesRequest, ReadsWhatChangesTheAnswer) {
  const auto call = decode(R"("input":"x","stream":true,"max_output_tokens":9,"temperature":1.5,"top_p":0.25,
    "top_logprobs":3,"include":["message.output_text.logprobs","reasoning.encrypted_content"],"parallel_tool_calls":false,
    "truncation":"auto","reasoning":{"effort":"none","summary":"auto"},"service_tier":"default","user":"u","metadata":{"a":"b"},
    "text":{"format":{"type":"json_schema","name":"n","strict":true,"schema":{"type":"object"}},"verbosity":"medium"},
    "background":false,"prompt_cache_key":"k","stream_options":{"include_obfuscation":false})");
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_EQ(call->unknown_fields, 0U);
  EXPECT_TRUE(call->stream);
  const GenerateRequest& work = *call->generation();
  EXPECT_FALSE(work.refusal) << work.refusal->message;
  EXPECT_EQ(work.stop.max_tokens, 9U);
  EXPECT_EQ(work.sampling.temperature, 1.5);
  EXPECT_EQ(work.sampling.top_p, 0.25);
  EXPECT_EQ(work.top_logprobs, 3U);
  EXPECT_TRUE(work.truncation);
  EXPECT_EQ(work.format.kind, OutputFormat::Kind::kJsonSchema);
  EXPECT_EQ(work.format.field(), "text.format");
  EXPECT_FALSE(chat_of(call).parallel_tool_calls);
  EXPECT_EQ(chat_of(call).template_arguments.at("enable_thinking"), "false");
  EXPECT_EQ(chat_of(call).template_arguments.at("reasoning_effort"), "\"none\"");
  const auto object = decode(R"("input":"x","text":{"format":{"type":"json_object"}})");
  EXPECT_EQ(object->generation()->format.kind, OutputFormat::Kind::kJsonObject);
}

struct WrongField {
  const char* members;
  const char* param;
};

constexpr WrongField kWrongFields[] = {
    {R"("model":"m")", "input"},
    {R"("input":7)", "input"},
    {R"("input":[])", "input"},
    {R"("input":[7])", "input[0]"},
    {R"("input":[{"content":"x"}])", "input[0].role"},
    {R"("input":[{"role":"king","content":"x"}])", "input[0].role"},
    {R"("input":[{"role":"user"}])", "input[0].content"},
    {R"("input":[{"role":"user","content":7}])", "input[0].content"},
    {R"("input":[{"role":"user","content":[{"text":"x"}]}])", "input[0].content[0].type"},
    {R"("input":[{"role":"user","content":[{"type":"input_text"}]}])", "input[0].content[0].text"},
    {R"("input":[{"role":"user","content":[{"type":"input_image","image_url":"x"}]}])",
     "input[0].content[0]"},
    {R"("input":[{"role":"user","content":[{"type":"input_file","file_id":"x"}]}])", "input[0].content[0]"},
    {R"("input":[{"type":"item_reference","id":"msg_1"}])", "input"},
    {R"("input":[{"type":"item_reference"}])", "input[0].id"},
    {R"("input":[{"type":"web_search_call","id":"ws_1"}])", "input[0]"},
    {R"("input":[{"type":"function_call","name":"f","arguments":"{}"}])", "input[0].call_id"},
    {R"("input":[{"type":"function_call","call_id":"c","arguments":"{}"}])", "input[0].name"},
    {R"("input":[{"type":"function_call","call_id":"c","name":"f"}])", "input[0].arguments"},
    {R"("input":[{"type":"function_call_output","output":"x"}])", "input[0].call_id"},
    {R"("input":[{"type":"function_call_output","call_id":"c"}])", "input[0].output"},
    {R"("input":"x","model":7)", "model"},
    {R"("input":"x","instructions":[])", "instructions"},
    {R"("input":"x","stream":"yes")", "stream"},
    {R"("input":"x","store":"yes")", "store"},
    {R"("input":"x","max_output_tokens":0)", "max_output_tokens"},
    {R"("input":"x","temperature":3)", "temperature"},
    {R"("input":"x","top_p":2)", "top_p"},
    {R"("input":"x","top_logprobs":21)", "top_logprobs"},
    {R"("input":"x","top_logprobs":2)", "top_logprobs"},
    {R"("input":"x","include":["everything"])", "include[0]"},
    {R"("input":"x","tools":{})", "tools"},
    {R"("input":"x","tools":[{"name":"f"}])", "tools[0].type"},
    {R"("input":"x","tools":[{"type":"function"}])", "tools[0].name"},
    {R"("input":"x","tools":[{"type":"function","name":"f","parameters":[]}])", "tools[0].parameters"},
    {R"("input":"x","tools":[{"type":"web_search"}])", "tools[0].type"},
    {R"("input":"x","tools":[{"type":"file_search","vector_store_ids":[]}])", "tools[0].type"},
    {R"("input":"x","tools":[{"type":"custom","name":"f"}])", "tools[0].type"},
    {R"("input":"x","tool_choice":"sometimes")", "tool_choice"},
    {R"("input":"x","tool_choice":"required")", "tool_choice"},
    {R"("input":"x","tool_choice":{"name":"f"})", "tool_choice.type"},
    {R"("input":"x","tool_choice":{"type":"function"})", "tool_choice.name"},
    {R"("input":"x","tool_choice":{"type":"web_search"})", "tool_choice.type"},
    {R"("input":"x","tool_choice":{"type":"allowed_tools","mode":"auto"})", "tool_choice.tools"},
    {R"("input":"x","tool_choice":{"type":"allowed_tools","mode":"never","tools":[]})", "tool_choice.mode"},
    {R"("input":"x","tool_choice":{"type":"function","name":"g"},"tools":[{"type":"function","name":"f"}])",
     "tool_choice"},
    {R"("input":"x","parallel_tool_calls":1)", "parallel_tool_calls"},
    {R"("input":"x","text":{"format":{"type":"xml"}})", "text.format.type"},
    {R"("input":"x","text":{"format":{"type":"json_schema","name":"n"}})", "text.format.schema"},
    {R"("input":"x","text":{"verbosity":"low"})", "text.verbosity"},
    {R"("input":"x","text":{"verbosity":"loud"})", "text.verbosity"},
    {R"("input":"x","reasoning":{"effort":"most"})", "reasoning.effort"},
    {R"("input":"x","reasoning":{"summary":"detailed"})", "reasoning.summary"},
    {R"("input":"x","truncation":"some")", "truncation"},
    {R"("input":"x","metadata":{"a":1})", "metadata.a"},
    {R"("input":"x","metadata":[])", "metadata"},
    {R"("input":"x","user":7)", "user"},
    {R"("input":"x","service_tier":"gold")", "service_tier"},
    {R"("input":"x","background":true)", "background"},
    {R"("input":"x","conversation":"c")", "conversation"},
    {R"("input":"x","prompt":{"id":"p"})", "prompt"},
    {R"("input":"x","context_management":[{"type":"compaction"}])", "context_management"},
    {R"("input":"x","previous_response_id":7)", "previous_response_id"},
    {R"("input":"x","previous_response_id":"resp_1")", "previous_response_id"},
};

TEST(ResponsesRequest, NotesAndUserAreAsLongAsOpenAITakesThem) {
  const auto field = [](const std::string& members) {
    const auto call = decode(R"("input":"x",)" + members);
    return call ? std::string() : call.error().param;
  };
  const auto text = [](std::size_t characters) {
    std::string made;
    for (std::size_t i = 0; i < characters; ++i) made += "é";
    return made;
  };
  EXPECT_EQ(field(R"("user":")" + text(512) + '"'), "");
  EXPECT_EQ(field(R"("user":")" + text(513) + '"'), "user");
  EXPECT_EQ(field(R"("metadata":{"a":")" + text(512) + "\"}"), "");
  EXPECT_EQ(field(R"("metadata":{"a":")" + text(513) + "\"}"), "metadata.a");
  EXPECT_EQ(field(R"("metadata":{")" + text(64) + R"(":"a"})"), "");
  EXPECT_EQ(field(R"("metadata":{")" + text(65) + R"(":"a"})"), "metadata");
}

TEST(ResponsesRequest, NamesTheFieldThatIsWrong) {
  for (const WrongField& c : kWrongFields) {
    const auto call = decode(c.members);
    ASSERT_TRUE(!call || call->generation()->refusal) << c.members;
    const Error& error = call ? *call->generation()->refusal : call.error();
    EXPECT_EQ(error.code, ErrorCode::kInvalidArgument) << c.members;
    EXPECT_EQ(error.param, c.param) << error.message;
    EXPECT_NE(error.message.find(c.param), std::string::npos) << error.message;
  }
}

TEST(ResponsesRequest, GoesOnFromWhatWasSaidBefore) {
  auto request = read_request(
      R"({"instructions":"Now.","previous_response_id":"resp_1","input":[{"type":"function_call_output","call_id":"c1","output":"one"}]})");
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->previous, "resp_1");
  EXPECT_TRUE(request->stores);
  ChatMessage asked;
  asked.role = "user";
  asked.content = "Hello";
  ChatMessage said;
  said.role = "assistant";
  said.tool_calls = {{.id = "c1", .name = "f", .arguments = "{}"}};
  make_prompt(*request, {asked, said});
  const auto& messages = std::get<ChatPrompt>(request->work.prompts.front()).messages;
  ASSERT_EQ(messages.size(), 4U);
  EXPECT_EQ(messages[0].content, "Now.") << "instructions are of this response alone";
  EXPECT_EQ(messages[1].content, "Hello");
  EXPECT_EQ(messages[2].tool_calls.size(), 1U);
  EXPECT_EQ(messages[3].name, "f");
}

TEST(ResponsesRequest, ItemsOfAnAnswerArePartsOfAMessage) {
  const auto items = output_items(
      R"({"id":"resp_1","output":[{"id":"rs_1_0","type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"hm"}]},)"
      R"({"id":"msg_1_1","type":"message","role":"assistant","content":[{"type":"output_text","text":"Hi"}]},)"
      R"({"id":"fc_1_2","type":"function_call","call_id":"c","name":"f","arguments":"{}"}]})");
  ASSERT_EQ(items.size(), 3U);
  EXPECT_EQ(items[0].first, "rs_1_0");
  EXPECT_EQ(items[0].second.reasoning, "hm");
  EXPECT_EQ(items[1].second.content, "Hi");
  EXPECT_EQ(items[2].second.tool_calls.at(0).name, "f");
  std::vector<ChatMessage> messages;
  for (const auto& [id, message] : items) add_message(messages, message);
  ASSERT_EQ(messages.size(), 1U);
  EXPECT_EQ(messages[0].reasoning, "hm");
  EXPECT_EQ(messages[0].content, "Hi");
  EXPECT_EQ(messages[0].tool_calls.size(), 1U);
}

TEST(ResponsesRequest, ItemsOfTheInputAreShownWithIds) {
  const auto text = input_items(R"({"input":"Hi"})", "resp_1");
  ASSERT_EQ(text.size(), 1U);
  EXPECT_EQ(
      text[0],
      R"({"id":"msg_1_in0","type":"message","role":"user","status":"completed","content":[{"type":"input_text","text":"Hi"}]})");
  const auto items = input_items(
      R"({"input":[{"role":"assistant","content":"Hi"},{"type":"function_call_output","call_id":"c","output":"o"},)"
      R"({"type":"function_call","id":"fc_9","call_id":"c","name":"f","arguments":"{}"}]})",
      "resp_1");
  ASSERT_EQ(items.size(), 3U);
  EXPECT_EQ(
      items[0],
      R"({"role":"assistant","content":[{"type":"output_text","text":"Hi","annotations":[]}],"id":"msg_1_in0","type":"message","status":"completed"})");
  EXPECT_EQ(
      items[1],
      R"({"type":"function_call_output","call_id":"c","output":"o","id":"fco_1_in1","status":"completed"})");
  EXPECT_EQ(
      items[2],
      R"({"type":"function_call","id":"fc_9","call_id":"c","name":"f","arguments":"{}","status":"completed"})");
}

}  // namespace
}  // namespace autoglm::protocol::responses
