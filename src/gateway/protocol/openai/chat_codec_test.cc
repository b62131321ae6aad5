#include "gateway/protocol/openai/chat_codec.h"

#include <gtest/gtest.h>

#include <string>

namespace autoglm::protocol::openai {
namespace {

const AnswerFacts kFacts{.id = "1", .model = "m", .created = 1700000000};

TEST(ChatCodec, ReadsMessagesInAllTheirShapes) {
  const auto call = ChatCodec().decode(R"({"messages":[
    {"role":"developer","content":"Be brief."},
    {"role":"user","content":[{"type":"text","text":"Hel"},{"type":"text","text":"lo"}],"name":"ann"},
    {"role":"assistant","content":null},
    {"role":"assistant"}], "max_completion_tokens": 9, "tools": [], "response_format": {"type":"text"}})");
  ASSERT_TRUE(call) << call.error().message;
  const auto& messages = std::get<ChatPrompt>(call->generation()->prompts.front()).messages;
  ASSERT_EQ(messages.size(), 4U);
  EXPECT_EQ(messages[0].role, "system");
  EXPECT_EQ(messages[1].content, "Hel\nlo");
  EXPECT_EQ(messages[1].name, "ann");
  EXPECT_EQ(messages[2].content, "");
  EXPECT_EQ(call->generation()->stop.max_tokens, 9U);
}

TEST(ChatCodec, RunsToTheEndOfTheContextByDefault) {
  const auto call = ChatCodec().decode(R"({"messages":[{"role":"user","content":"x"}]})");
  ASSERT_TRUE(call);
  EXPECT_FALSE(call->generation()->stop.max_tokens.has_value());
}

TEST(ChatCodec, NamesTheMessageThatIsWrong) {
  struct Case {
    const char* body;
    const char* param;
  };
  const Case cases[] = {
      {R"({})", "messages"},
      {R"({"messages":[]})", "messages"},
      {R"({"messages":"hi"})", "messages"},
      {R"({"messages":[7]})", "messages[0]"},
      {R"({"messages":[{"content":"x"}]})", "messages[0].role"},
      {R"({"messages":[{"role":"user"}]})", "messages[0].content"},
      {R"({"messages":[{"role":"king","content":"x"}]})", "messages[0].role"},
      {R"({"messages":[{"role":"user","content":"x"},{"role":"user","content":3}]})", "messages[1].content"},
      {R"({"messages":[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]})",
       "messages[0].content[0]"},
      {R"({"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function"}]})",
       "tools[0].function.name"},
      {R"({"messages":[{"role":"user","content":"x"}],"tools":[{"function":{"name":"f","parameters":[]}}]})",
       "tools[0].function.parameters"},
      {R"({"messages":[{"role":"user","content":"x"}],"tool_choice":"required"})", "tool_choice"},
      {R"({"messages":[{"role":"user","content":"x"}],"tool_choice":"sometimes"})", "tool_choice"},
      {R"({"messages":[{"role":"user","content":"x"}],"response_format":{"type":"xml"}})",
       "response_format.type"},
      {R"({"messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema"}})",
       "response_format.json_schema"},
      {R"({"messages":[{"role":"user","content":[{"type":"text"}]}]})", "messages[0].content[0].text"},
      {R"({"messages":[{"role":"user","content":"x"}],"tools":[{"type":"custom","custom":{"name":"f"}}]})",
       "tools[0].type"},
      {R"({"messages":[{"role":"user","content":"x"}],"tool_choice":{"type":"custom","custom":{"name":"f"}}})",
       "tool_choice.custom"},
      {R"({"messages":[{"role":"user","content":"x"}],"tools":[{"function":{"name":"f"}}],"tool_choice":)"
       R"({"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"function":{"name":"g"}}]}}})",
       "tool_choice"},
      {R"({"messages":[{"role":"user","content":"x"}],"tool_choice":{"allowed_tools":{"mode":"never"}}})",
       "tool_choice.allowed_tools.mode"},
      {R"({"messages":[{"role":"assistant","function_call":{"arguments":"{}"}}]})",
       "messages[0].function_call.name"},
      {R"({"messages":[{"role":"assistant","audio":{"id":"a"}}]})", "messages[0].audio"},
      {R"({"messages":[{"role":"assistant","tool_calls":[{"type":"custom","custom":{"name":"f"}}]}]})",
       "messages[0].tool_calls[0].type"},
      {R"({"messages":[{"role":"user","content":"x"}],"reasoning_effort":"most"})", "reasoning_effort"},
      {R"({"messages":[{"role":"user","content":"x"}],"top_logprobs":2})", "top_logprobs"},
      {R"({"messages":[{"role":"user","content":"x"}],"logprobs":true,"top_logprobs":21})", "top_logprobs"},
      {R"({"messages":[{"role":"assistant","content":"x"}],"continue_final_message":true,"add_generation_prompt":true})",
       "add_generation_prompt"},
      {R"({"messages":[{"role":"user","content":"x"}],"continue_final_message":true})",
       "continue_final_message"},
  };
  for (const Case& c : cases) {
    const auto call = ChatCodec().decode(c.body);
    ASSERT_TRUE(!call || call->generation()->refusal) << c.body;
    const Error& error = call ? *call->generation()->refusal : call.error();
    EXPECT_EQ(error.param, c.param) << error.message;
  }
}

TEST(ChatCodec, AToolThatIsNamedIsCalledOnce) {
  const auto parallel = [](const std::string& choice) {
    const auto call = ChatCodec().decode(
        R"({"messages":[{"role":"user","content":"x"}],"tools":[{"function":{"name":"f"}}],)"
        R"("parallel_tool_calls":true,"tool_choice":)" +
        choice + "}");
    EXPECT_TRUE(call);
    return std::get<ChatPrompt>(call->generation()->prompts.front()).parallel_tool_calls;
  };
  EXPECT_FALSE(parallel(R"({"type":"function","function":{"name":"f"}})"));
  EXPECT_TRUE(parallel(R"("required")"));
}

TEST(ChatCodec, ReadsToolsFormatsAndCallsOfTheAssistant) {
  const auto call = ChatCodec().decode(R"({
    "messages": [
      {"role": "user", "content": "x"},
      {"role": "assistant", "content": null, "reasoning_content": "hm",
       "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]},
      {"role": "tool", "tool_call_id": "c1", "content": "done"}],
    "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}},
              {"type": "function", "function": {"name": "g"}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": false,
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "strict": true, "schema": {"type": "object"}}},
    "chat_template_kwargs": {"enable_thinking": false}, "logprobs": true, "min_tokens": 3, "stop_token_ids": [5]})");
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_EQ(call->unknown_fields, 0U);
  const auto& chat = std::get<ChatPrompt>(call->generation()->prompts.front());
  EXPECT_EQ(chat.messages[1].reasoning, "hm");
  EXPECT_EQ(chat.messages[1].tool_calls.at(0).arguments, R"({"a":1})");
  EXPECT_EQ(chat.messages[2].tool_call_id, "c1");
  ASSERT_EQ(chat.tools.size(), 1U);  // the one that was chosen
  EXPECT_EQ(chat.tools[0].parameters, R"({"type":"object"})");
  EXPECT_EQ(chat.tool_use, ToolUse::kRequired);
  EXPECT_FALSE(chat.parallel_tool_calls);
  EXPECT_EQ(chat.template_arguments.at("enable_thinking"), "false");
  EXPECT_EQ(call->generation()->format.kind, OutputFormat::Kind::kJsonSchema);
  EXPECT_EQ(call->generation()->format.definition, R"({"type":"object"})");
  EXPECT_EQ(call->generation()->top_logprobs, 0U);
  EXPECT_EQ(call->generation()->stop.min_tokens, 3U);
  EXPECT_EQ(call->generation()->stop.stop_tokens, std::vector<TokenId>{5});
}

TEST(ChatCodec, WritesToolCallsAndReasoning) {
  const EventBatch batch{
      .events = {
          {.choice = 0, .reasoning = "so"},
          {.choice = 0, .tool_calls = {{.index = 0, .id = "c1", .name = "f", .arguments = "{"}}},
          {.choice = 0, .tool_calls = {{.index = 0, .arguments = "}"}}, .finish = FinishReason::kToolCalls}}};
  auto whole = ChatCodec().decode(R"({"messages":[{"role":"user","content":"x"}]})");
  auto encoder = whole->make_encoder(kFacts);
  std::string out;
  encoder->events(batch, out);
  encoder->end({}, out);
  EXPECT_NE(
      out.find(
          R"("message":{"role":"assistant","content":null,"reasoning_content":"so","tool_calls":[{"id":"c1",)"
          R"("type":"function","function":{"name":"f","arguments":"{}"}}],"refusal":null},"logprobs":null,)"
          R"("finish_reason":"tool_calls"})"),
      std::string::npos)
      << out;
  auto streamed = ChatCodec().decode(R"({"messages":[{"role":"user","content":"x"}],"stream":true})");
  encoder = streamed->make_encoder(kFacts);
  out.clear();
  encoder->events(batch, out);
  for (
      const char* delta :
      {R"("delta":{"reasoning_content":"so"})",
       R"("delta":{"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":"{"}}]})",
       R"("delta":{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]})",
       R"("finish_reason":"tool_calls")"}) {
    EXPECT_NE(out.find(delta), std::string::npos) << delta << "\n" << out;
  }
}

TEST(ChatCodec, TakesOlderAndNewerWords) {
  const auto call = ChatCodec().decode(R"({"messages":[
    {"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},
    {"role":"function","name":"f","content":"7"},
    {"role":"assistant","content":[{"type":"refusal","refusal":"No."}]},
    {"role":"assistant","content":null,"refusal":"Never."},
    {"role":"assistant","tool_calls":[{"id":null,"type":null,"function":{"name":"g","arguments":{"a":1}}}]},
    {"role":"user","content":[{"type":"input_text","text":"x"}]}],
    "tools":[{"function":{"name":"f"}},{"function":{"name":"g"}},{"function":{"name":"h"}}],
    "tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[
      {"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"g"}}]}},
    "reasoning_effort":"none"})");
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_FALSE(call->generation()->refusal);
  const auto& chat = std::get<ChatPrompt>(call->generation()->prompts.front());
  EXPECT_EQ(chat.messages[0].tool_calls.at(0).name, "f");
  EXPECT_EQ(chat.messages[1].role, "tool");
  EXPECT_EQ(chat.messages[2].content, "No.");
  EXPECT_EQ(chat.messages[3].content, "Never.");
  EXPECT_EQ(chat.messages[4].tool_calls.at(0).arguments, R"({"a":1})");
  EXPECT_EQ(chat.messages[5].content, "x");
  EXPECT_EQ(chat.tools.size(), 2U);
  EXPECT_EQ(chat.tool_use, ToolUse::kRequired);
  EXPECT_EQ(chat.template_arguments.at("reasoning_effort"), R"("none")");
  EXPECT_EQ(chat.template_arguments.at("enable_thinking"), "false");
}

TEST(ChatCodec, LeavesToTheTemplateWhatItIsToldItself) {
  const auto call =
      ChatCodec().decode(R"({"messages":[{"role":"user","content":"x"}],"reasoning_effort":"none",)"
                         R"("chat_template_kwargs":{"reasoning_effort":"low","enable_thinking":true}})");
  ASSERT_TRUE(call) << call.error().message;
  const auto& arguments = std::get<ChatPrompt>(call->generation()->prompts.front()).template_arguments;
  EXPECT_EQ(arguments.at("reasoning_effort"), R"("low")");
  EXPECT_EQ(arguments.at("enable_thinking"), "true");
}

TEST(ChatCodec, SaysWhoMadeAnAnswer) {
  auto call = ChatCodec().decode(R"({"messages":[{"role":"user","content":"x"}]})");
  const auto encoder = call->make_encoder({.id = "1", .model = "m", .fingerprint = "fp"});
  std::string out;
  encoder->end({}, out);
  EXPECT_NE(out.find(R"("model":"m","system_fingerprint":"fp","choices")"), std::string::npos) << out;
}

TEST(ChatCodec, WritesTheDocument) {
  auto call = ChatCodec().decode(R"({"messages":[{"role":"user","content":"x"}]})");
  const auto encoder = call->make_encoder(kFacts);
  std::string out;
  encoder->events({.events = {{.text = "Hi"}, {.finish = FinishReason::kStop}}}, out);
  encoder->end({.prompt_tokens = 1, .completion_tokens = 2}, out);
  EXPECT_EQ(
      out,
      R"({"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"m","choices":[)"
      R"({"index":0,"message":{"role":"assistant","content":"Hi","refusal":null},"logprobs":null,"finish_reason":"stop"}],)"
      R"("usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"prompt_tokens_details":{"cached_tokens":0}}})");
}

TEST(ChatCodec, StreamsRoleThenContentThenReason) {
  auto call = ChatCodec().decode(R"({"messages":[{"role":"user","content":"x"}],"stream":true})");
  const auto encoder = call->make_encoder(kFacts);
  std::string out;
  encoder->events({.events = {{.text = "Hi"}, {.text = "!", .finish = FinishReason::kStop}}}, out);
  const std::string head =
      R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[{"index":0,"delta":)";
  EXPECT_EQ(out, head + R"({"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]})" +
                     "\n\n" +                                                                         //
                     head + R"({"content":"Hi"},"logprobs":null,"finish_reason":null}]})" + "\n\n" +  //
                     head + R"({"content":"!"},"logprobs":null,"finish_reason":null}]})" + "\n\n" +   //
                     head + R"({},"logprobs":null,"finish_reason":"stop"}]})" + "\n\n");
}

TEST(ChatCodec, StreamsLogprobsWithWhatTheirTokensSay) {
  auto call =
      ChatCodec().decode(R"({"messages":[{"role":"user","content":"x"}],"stream":true,"logprobs":true})");
  const auto encoder = call->make_encoder(kFacts);
  std::string out;
  encoder->events(
      {.events = {{.text = "Hi", .logprobs = {{.chosen = {.token = 1, .logprob = -0.5, .bytes = "Hi"}}}},
                  {.finish = FinishReason::kStop}}},
      out);
  EXPECT_NE(out.find(R"("delta":{"role":"assistant","content":""},"logprobs":null,)"), std::string::npos)
      << out;
  EXPECT_NE(out.find(R"("delta":{"content":"Hi"},"logprobs":{"content":[{"token":"Hi","logprob":-0.5,)"),
            std::string::npos)
      << out;
}

TEST(ChatCodec, SaysWhichOfTheClientsStopStringsItWas) {
  for (const char* stream : {"true", "false"}) {
    const auto ended_by = [stream](const std::string& stop) {
      const auto call =
          ChatCodec().decode(R"({"messages":[{"role":"user","content":"x"}],"stop":["END","."],"stream":)" +
                             std::string(stream) + "}");
      const auto encoder = call->make_encoder(kFacts);
      std::string out;
      encoder->events({.events = {{.text = "Hi", .finish = FinishReason::kStop, .stop = stop}}}, out);
      encoder->end({}, out);
      return out;
    };
    EXPECT_NE(ended_by("END").find(R"("finish_reason":"stop","stop_reason":"END")"), std::string::npos);
    EXPECT_EQ(ended_by("").find("stop_reason"), std::string::npos);
    EXPECT_EQ(ended_by("<|im_end|>").find("stop_reason"), std::string::npos)
        << "the template's, not the client's";
  }
}

}  // namespace
}  // namespace autoglm::protocol::openai
