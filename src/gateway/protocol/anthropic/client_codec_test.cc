#include "gateway/protocol/anthropic/client_codec.h"

#include "gateway/protocol/testing/said_by.h"

#include <gtest/gtest.h>

#include <map>

namespace autoglm::protocol::anthropic {
namespace {

const AnthropicClient kCodec;

std::string event(const std::string& type, const std::string& more = "") {
  return "event: " + type + "\ndata: {\"type\":\"" + type + "\"" + (more.empty() ? "" : "," + more) + "}\n\n";
}
const std::string kStart = event(
    "message_start",
    R"("message":{"id":"msg_1","usage":{"input_tokens":5,"cache_read_input_tokens":3,"cache_creation_input_tokens":2,"output_tokens":1}})");
std::string block(int index, const std::string& content) {
  return event("content_block_start", fmt::format(R"("index":{},"content_block":{})", index, content));
}
std::string delta(int index, const std::string& said) {
  return event("content_block_delta", fmt::format(R"("index":{},"delta":{})", index, said));
}
std::string text(const std::string& said) {
  return delta(0, R"({"type":"text_delta","text":")" + said + "\"}");
}
std::string end(const std::string& reason, int tokens = 9) {
  return event("message_delta",
               fmt::format(R"("delta":{{"stop_reason":"{}"}},"usage":{{"output_tokens":{}}})", reason,
                           tokens)) +
         event("message_stop");
}

TEST(AnthropicClient, SaysTheKeyAndTheVersion) {
  using Headers = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(kCodec.headers("k"), (Headers{{"anthropic-version", "2023-06-01"}, {"x-api-key", "k"}}));
  EXPECT_EQ(kCodec.headers("").size(), 1U);
}

TEST(AnthropicClient, WritesAChat) {
  InferenceRequest request = chat_request({{.role = "system", .content = "be kind"},
                                           {.role = "system", .content = "and brief"},
                                           {.role = "user", .content = "Hi"}});
  EXPECT_EQ(
      written(kCodec, request),
      R"(/v1/messages {"model":"m","max_tokens":4096,"system":"be kind\n\nand brief","messages":[{"role":"user",)"
      R"("content":"Hi"}],"stream":true})");
  GenerateRequest& work = *request.generation();
  static_cast<SamplingNumbers&>(work.sampling) = {.temperature = 0.5, .top_p = 0.9, .top_k = 4};
  work.stop = {.max_tokens = 7, .stop = {"x", "y"}};
  work.format = {.kind = OutputFormat::Kind::kJsonSchema, .definition = R"({"type":"object"})"};
  EXPECT_EQ(
      written(kCodec, request, {.model = "claude"}),
      R"(/v1/messages {"model":"claude","max_tokens":7,"system":"be kind\n\nand brief","messages":[{"role":"user",)"
      R"("content":"Hi"}],"stream":true,"temperature":0.5,"top_p":0.9,"top_k":4,"stop_sequences":["x","y"],)"
      R"("output_config":{"format":{"type":"json_schema","schema":{"type":"object"}}}})");
}

TEST(AnthropicClient, WritesToolsAndTheirResults) {
  InferenceRequest request =
      chat_request({{.role = "user", .content = "weather?"},
                    {.role = "assistant",
                     .content = "let me see",
                     .tool_calls = {{.id = "a", .name = "f", .arguments = R"({"x":1})"},
                                    {.id = "b", .name = "g", .arguments = ""}}},
                    {.role = "tool", .content = "sun", .tool_call_id = "a"},
                    {.role = "tool", .content = "rain", .tool_call_id = "b"},
                    {.role = "user", .content = "so?"}});
  auto& chat = std::get<ChatPrompt>(request.generation()->prompts.front());
  chat.tools = {{.name = "f", .description = "d", .parameters = R"({"type":"object"})"}};
  const std::string start =
      R"(/v1/messages {"model":"m","max_tokens":4096,"messages":[{"role":"user","content":"weather?"},{"role":"assistant",)"
      R"("content":[{"type":"text","text":"let me see"},{"type":"tool_use","id":"a","name":"f","input":{"x":1}},)"
      R"({"type":"tool_use","id":"b","name":"g","input":{}}]},{"role":"user","content":[{"type":"tool_result",)"
      R"("tool_use_id":"a","content":"sun"},{"type":"tool_result","tool_use_id":"b","content":"rain"}]},)"
      R"({"role":"user","content":"so?"}],"stream":true,"tools":[{"name":"f","description":"d",)"
      R"("input_schema":{"type":"object"}}])";
  EXPECT_EQ(written(kCodec, request), start + "}");
  chat.tool_use = ToolUse::kRequired;
  chat.parallel_tool_calls = false;
  EXPECT_EQ(written(kCodec, request),
            start + R"(,"tool_choice":{"type":"any","disable_parallel_tool_use":true}})");
  chat.tool_use = ToolUse::kNone;
  EXPECT_EQ(written(kCodec, request), start + R"(,"tool_choice":{"type":"none"}})");
}

TEST(AnthropicClient, WritesThinking) {
  const auto thinks = [](std::map<std::string, std::string> arguments,
                         std::optional<std::uint32_t> most = {}) {
    InferenceRequest request = chat_request();
    std::get<ChatPrompt>(request.generation()->prompts.front()).template_arguments = std::move(arguments);
    request.generation()->stop.max_tokens = most;
    const std::string body = written(kCodec, request);
    if (!body.starts_with('/')) return body;
    const std::size_t begin = body.find("\"max_tokens\"");
    return body.substr(begin, body.find(",\"messages\"") - begin);
  };
  EXPECT_EQ(thinks({{"reasoning_effort", "\"low\""}}), R"("max_tokens":4096)")
      << "an effort is no wish for thoughts";
  EXPECT_EQ(thinks({{"enable_thinking", "true"}, {"reasoning_effort", "\"low\""}}),
            R"("max_tokens":5120,"thinking":{"type":"enabled","budget_tokens":1024})");
  EXPECT_EQ(thinks({{"thinking_budget", "4095"}}, 4096),
            R"("max_tokens":4096,"thinking":{"type":"enabled","budget_tokens":4095})")
      << "the client's own";
  EXPECT_EQ(thinks({{"thinking_budget", "5000"}}, 4096),
            R"("max_tokens":4096,"thinking":{"type":"enabled","budget_tokens":3072})");
  EXPECT_EQ(thinks({{"enable_thinking", "true"}}, 1025),
            R"("max_tokens":1025,"thinking":{"type":"enabled","budget_tokens":1024})");
  EXPECT_EQ(thinks({{"enable_thinking", "true"}}, 2000),
            R"("max_tokens":2000,"thinking":{"type":"enabled","budget_tokens":1500})");
  EXPECT_EQ(thinks({{"enable_thinking", "false"}}), R"("max_tokens":4096,"thinking":{"type":"disabled"})");
  EXPECT_EQ(
      thinks({{"enable_thinking", "true"}}, 100),
      "max_tokens: max_tokens must be above 1024 to think for a server that speaks Anthropic's protocol");
  EXPECT_EQ(
      thinks({{"x", "1"}}),
      "chat_template_kwargs.x: chat_template_kwargs.x cannot be told to a server that speaks Anthropic's "
      "protocol: leave it out");
}

TEST(AnthropicClient, AnEffortPasses) {
  const auto output = [](const char* effort, bool schema = false) {
    InferenceRequest request = chat_request();
    GenerateRequest& work = *request.generation();
    std::get<ChatPrompt>(work.prompts.front()).template_arguments = {{"reasoning_effort", effort}};
    if (schema) work.format = {.kind = OutputFormat::Kind::kJsonSchema, .definition = "{}"};
    const std::string body = written(kCodec, request);
    return body.substr(body.find("\"stream\":true") + 13);
  };
  EXPECT_EQ(output("\"high\""), R"(,"output_config":{"effort":"high"}})");
  EXPECT_EQ(output("\"minimal\"", true),
            R"(,"output_config":{"effort":"low","format":{"type":"json_schema","schema":{}}}})");
  EXPECT_EQ(output("\"none\""), "}");
}

TEST(AnthropicClient, ThoughtsOfEarlierTurnsAreLeftOut) {
  EXPECT_NE(written(kCodec, chat_request({{.role = "user", .content = "a"},
                                          {.role = "assistant", .content = "b", .reasoning = "hm"},
                                          {.role = "user", .content = "c"}}))
                .find(R"({"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user",)"),
            std::string::npos);
  InferenceRequest goes_on = chat_request({{.role = "assistant", .content = "b", .reasoning = "hm"}});
  auto& chat = std::get<ChatPrompt>(goes_on.generation()->prompts.front());
  chat.continue_final_message = true;
  chat.add_generation_prompt = false;
  EXPECT_EQ(written(kCodec, goes_on).substr(0, 30), "messages[0].reasoning_content:");
}

TEST(AnthropicClient, TellsWhichSequenceStoppedIt) {
  std::string bytes =
      kStart + text("a") +
      event("message_delta", R"("delta":{"stop_reason":"stop_sequence","stop_sequence":"X"})") +
      event("message_stop");
  EventBatch batch;
  ASSERT_TRUE(kCodec.reader(chat_request(), {})->read(bytes, true, batch));
  EXPECT_EQ(batch.events.back().stop, "X");
}

TEST(AnthropicClient, RefusesWhatItCannotSayByName) {
  const auto refused = [](const auto& change,
                          std::vector<ChatMessage> messages = {{.role = "user", .content = "Hi"}}) {
    InferenceRequest request = chat_request(std::move(messages));
    change(*request.generation());
    const std::string why = written(kCodec, request);
    return why.substr(0, why.find(':'));
  };
  const auto nothing = [](GenerateRequest&) {};
  EXPECT_EQ(refused([](GenerateRequest& w) { w.n = 2; }), "n");
  EXPECT_EQ(refused([](GenerateRequest& w) { w.sampling.seed = 1; }), "seed");
  EXPECT_EQ(refused([](GenerateRequest& w) { w.sampling.temperature = 1.5; }), "temperature");
  EXPECT_EQ(refused([](GenerateRequest& w) { w.sampling.frequency_penalty = 0.5; }), "frequency_penalty");
  EXPECT_EQ(refused([](GenerateRequest& w) { w.sampling.logit_bias = {{1, 1.0F}}; }), "logit_bias");
  EXPECT_EQ(refused([](GenerateRequest& w) { w.top_logprobs = 0; }), "logprobs");
  EXPECT_EQ(refused([](GenerateRequest& w) { w.format.kind = OutputFormat::Kind::kJsonObject; }),
            "response_format");
  EXPECT_EQ(refused([](GenerateRequest& w) { w.prompts = {TextPrompt{"a"}}; }), "prompt");
  EXPECT_EQ(refused([](GenerateRequest& w) { w.prompts = {TokenPrompt{{1}}}; }), "prompt");
  EXPECT_EQ(refused([](GenerateRequest& w) { w.resume = {{1}}; }), "resume");
  EXPECT_EQ(refused(nothing, {{.role = "user", .content = "a"}, {.role = "system", .content = "b"}}),
            "messages[1].role");
  EXPECT_EQ(refused(nothing, {{.role = "user", .content = "a", .name = "n"}}), "messages[0].name");
  EXPECT_EQ(refused(nothing, {{.role = "assistant", .content = "a"}}), "messages[0].role");
  EXPECT_EQ(refused(nothing, {{.role = "tool", .content = "a"}}), "messages[0].tool_call_id");
  EXPECT_EQ(
      refused(nothing, {{.role = "assistant", .tool_calls = {{.id = "a", .name = "f", .arguments = "[1]"}}},
                        {.role = "user"}}),
      "messages[0].tool_calls[0].function.arguments");
  InferenceRequest embed{.model = "m", .work = EmbedRequest{.inputs = {TextPrompt{"a"}}}, .wire = {}};
  EXPECT_EQ(written(kCodec, embed).substr(0, 6), "input:");
}

TEST(AnthropicClient, ASeedOfThisProcessIsNoneOfTheClients) {
  InferenceRequest request = chat_request();
  request.generation()->sampling.seed = 1;
  request.seed_chosen = true;
  EXPECT_EQ(written(kCodec, request).find("seed"), std::string::npos);
}

TEST(AnthropicClient, ReadsTextThoughtsToolsAndUsage) {
  EXPECT_EQ(
      said_by(kCodec, chat_request(),
              kStart + event("ping") + block(0, R"({"type":"thinking","thinking":""})") +
                  delta(0, R"({"type":"thinking_delta","thinking":"hm"})") +
                  delta(0, R"({"type":"signature_delta","signature":"xx"})") +
                  event("content_block_stop", R"("index":0)") + block(1, R"({"type":"text","text":""})") +
                  delta(1, R"({"type":"text_delta","text":"Hé"})") +
                  delta(1, R"({"type":"text_delta","text":"llo"})") +
                  event("content_block_stop", R"("index":1)") +
                  block(2, R"({"type":"tool_use","id":"t1","name":"f","input":{}})") +
                  delta(2, R"({"type":"input_json_delta","partial_json":""})") +
                  delta(2, R"({"type":"input_json_delta","partial_json":"{\"x\":"})") +
                  delta(2, R"({"type":"input_json_delta","partial_json":"1}"})") +
                  event("content_block_stop", R"("index":2)") +
                  block(3, R"({"type":"tool_use","id":"t2","name":"g","input":{}})") +
                  event("content_block_stop", R"("index":3)") + event("new_kind", R"("x":1)") +
                  end("tool_use")),
      "thought:hm | text:Héllo | call0(t1,f) | arguments0:{\"x\":1} | call1(t2,g) | arguments1:{} | "
      "tool_calls / "
      "10 3 9");
}

TEST(AnthropicClient, ReadsReasonsToStop) {
  for (const auto& [reason, word] :
       std::map<std::string, std::string>{{"end_turn", "stop"},
                                          {"stop_sequence", "stop"},
                                          {"refusal", "stop"},
                                          {"max_tokens", "length"},
                                          {"model_context_window_exceeded", "length"}}) {
    EXPECT_EQ(said_in_pieces(kCodec, chat_request(), {kStart + text("a") + end(reason)}, {}),
              "text:a | " + word + " / 10 3 9");
  }
}

TEST(AnthropicClient, ErrorsAreReadWhereverTheyStand) {
  const std::string overloaded =
      event("error", R"("error":{"type":"overloaded_error","message":"Overloaded"})");
  for (const auto& [bytes, said] : std::map<std::string, std::string>{
           {kStart + text("a") + overloaded, "text:a / error: Overloaded"},
           {overloaded, " / error: Overloaded"},
           {R"({"type":"error","error":{"type":"api_error","message":"broken"}})", " / error: broken"},
           {kStart + text("a"), "text:a / error: the endpoint's stream ended before the answer did"},
           {kStart + text("a") + "data: {\"type\":\"mess",
            "text:a / error: the endpoint sent an event that is no JSON object"},
           {"", " / error: the endpoint's stream ended before the answer did"},
           {text("a"), " / error: the endpoint sent an event that is no part of an answer"},
           {kStart + event("message_stop"), " / error: the endpoint ended its answer without a reason"},
           {kStart + block(9999, R"({"type":"text"})"),
            " / error: the endpoint sent a part of its answer that is none"},
           {"<html>", " / error: the endpoint's stream ended before the answer did"},
       }) {
    EXPECT_EQ(said_by(kCodec, chat_request(), bytes), said) << bytes;
  }
}

TEST(AnthropicClient, AnOverloadedServerIsLeftForAnother) {
  const Error error = kCodec.read_error(
      529, R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}})", {});
  EXPECT_EQ(error.code, ErrorCode::kUnavailable);
  EXPECT_EQ(error.retry, Retry::kElsewhere);
  EXPECT_EQ(error.message, "Overloaded");
  const Error wrong = kCodec.read_error(
      400, R"({"type":"error","error":{"type":"invalid_request_error","message":"bad"}})", {});
  EXPECT_EQ(wrong.code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(wrong.retry, Retry::kNever);
}

}  // namespace
}  // namespace autoglm::protocol::anthropic
