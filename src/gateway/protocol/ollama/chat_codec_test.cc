#include "gateway/protocol/ollama/chat_codec.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::protocol::ollama {
namespace {

using namespace std::chrono_literals;

constexpr MonotonicTime kBegan{};
MonotonicTime later() { return kBegan + 1500ms; }

const AnswerFacts kFacts{.id = "1", .model = "m", .created = 1'700'000'000, .began = kBegan, .now = later};

constexpr std::string_view kHead = R"({"model":"alpha","created_at":"2023-11-14T22:13:21.500000Z",)";
constexpr std::string_view kMetrics =
    R"("total_duration":1500000000,"load_duration":0,"prompt_eval_count":3,"prompt_eval_duration":1500000000,)"
    R"("eval_count":5,"eval_duration":0})";

Result<DecodedCall> decode(std::string_view members) {
  return ChatCodec().decode(R"({"model":"alpha","messages":[{"role":"user","content":"Hi"}])" +
                            std::string(members) + "}");
}

std::string answer(std::string_view members, const std::vector<TokenEvent>& events) {
  const auto call = decode(members);
  EXPECT_TRUE(call) << call.error().message;
  const auto encoder = call->make_encoder(kFacts);
  std::string out;
  for (const TokenEvent& event : events) encoder->events({.events = {event}}, out);
  encoder->end({.prompt_tokens = 3, .completion_tokens = 5}, out);
  return out;
}

std::string head(std::string_view rest) { return std::string(kHead).append(rest); }

const ChatPrompt& chat_of(const Result<DecodedCall>& call) {
  return std::get<ChatPrompt>(call->generation()->prompts.front());
}

TEST(OllamaChat, StreamsLinesUnlessToldOtherwise) {
  const std::string out =
      answer("", {{.text = "Hel"}, {.text = ""}, {.text = "lo", .finish = FinishReason::kStop}});
  EXPECT_EQ(out, head(R"("message":{"role":"assistant","content":"Hel"},"done":false})") + "\n" +
                     head(R"("message":{"role":"assistant","content":"lo"},"done":false})") + "\n" +
                     head(R"("message":{"role":"assistant","content":""},"done":true,"done_reason":"stop",)")
                         .append(kMetrics) +
                     "\n");
  EXPECT_EQ(decode("")->make_encoder(kFacts)->content_type(), "application/x-ndjson");
}

TEST(OllamaChat, AWholeAnswerSaysWhatTheStreamSays) {
  const std::string out =
      answer(R"(,"stream":false)", {{.text = "Hel"}, {.text = "lo", .finish = FinishReason::kLength}});
  EXPECT_EQ(out,
            head(R"("message":{"role":"assistant","content":"Hello"},"done":true,"done_reason":"length",)")
                .append(kMetrics));
}

TEST(OllamaChat, ThinkingIsApart) {
  EXPECT_EQ(
      answer(R"(,"stream":false,"think":true)",
             {{.reasoning = "so "}, {.text = "yes", .reasoning = "it is", .finish = FinishReason::kStop}}),
      head(R"("message":{"role":"assistant","content":"yes","thinking":"so it is"},"done":true,)"
           R"("done_reason":"stop",)")
          .append(kMetrics));
  const auto call = decode(R"(,"think":"low")");
  EXPECT_EQ(chat_of(call).template_arguments.at("enable_thinking"), "true");
  EXPECT_EQ(chat_of(call).template_arguments.at("reasoning_effort"), "\"low\"");
  EXPECT_EQ(chat_of(decode(R"(,"think":false)")).template_arguments.at("enable_thinking"), "false");
}

const std::vector<TokenEvent> kCalls = {
    {.tool_calls = {{.index = 0, .id = "a", .name = "f", .arguments = "{\"x\":\n"}}},
    {.tool_calls = {{.index = 0, .arguments = " 1 }"}}},
    {.tool_calls = {{.index = 1, .id = "b", .name = "g"}}, .finish = FinishReason::kToolCalls}};

TEST(OllamaChat, ToolCallsComeWholeAndTheirArgumentsAreObjects) {
  const std::string calls = R"("tool_calls":[{"function":{"index":0,"name":"f","arguments":{"x":1}}},)"
                            R"({"function":{"index":1,"name":"g","arguments":{}}}])";
  EXPECT_EQ(answer(R"(,"stream":false)", kCalls),
            head(R"("message":{"role":"assistant","content":"",)").append(calls).append(R"(},"done":true,)") +
                R"("done_reason":"stop",)" + std::string(kMetrics));
  // Streamed they come as soon as they are whole; here both with the last event.
  EXPECT_TRUE(answer("", kCalls)
                  .starts_with(head(R"("message":{"role":"assistant","content":"",)")
                                   .append(calls)
                                   .append("},\"done\":false}\n")))
      << answer("", kCalls);
}

TEST(OllamaChat, ACallThatALimitCutIsToldAsText) {
  EXPECT_EQ(answer(R"(,"stream":false)", {{.tool_calls = {{.index = 0, .name = "f", .arguments = "{\"x\":"}}},
                                          {.finish = FinishReason::kLength}}),
            head(R"("message":{"role":"assistant","content":"{\"name\": \"f\", \"arguments\": {\"x\":"},)"
                 R"("done":true,"done_reason":"length",)")
                .append(kMetrics));
}

TEST(OllamaChat, AFailureInTheMiddleIsALineWithAnError) {
  const auto encoder = decode("")->make_encoder(kFacts);
  std::string out;
  encoder->events({.events = {{.text = "Hel"}}}, out);
  out.clear();
  encoder->failure({.code = ErrorCode::kUnavailable, .message = "died"}, out);
  EXPECT_EQ(out, "{\"error\":\"died\"}\n");
}

TEST(OllamaChat, LogprobsGoWithTheirText) {
  const std::vector<TokenEvent> events = {
      {.logprobs = {{.chosen = {.token = 1, .logprob = -0.5, .bytes = "\xe4"}}}},
      {.text = "你",
       .logprobs = {{.chosen = {.token = 2, .logprob = -0.25, .bytes = "\xbd\xa0"},
                     .top = {{.token = 2, .logprob = -0.25, .bytes = "a"}}}},
       .finish = FinishReason::kStop}};
  const std::string out = answer(R"(,"logprobs":true,"top_logprobs":1)", events);
  EXPECT_TRUE(out.starts_with(head(R"("message":{"role":"assistant","content":"你"},"logprobs":[)"
                                   R"({"token":"�","logprob":-0.5,"bytes":[228]},)"
                                   R"({"token":"��","logprob":-0.25,"bytes":[189,160],"top_logprobs":[)"
                                   R"({"token":"a","logprob":-0.25,"bytes":[97]}]}],"done":false})")))
      << out;
  EXPECT_EQ(decode(R"(,"logprobs":true,"top_logprobs":1)")->generation()->top_logprobs, 1U);
}

TEST(OllamaChat, ALogprobThatIsNoNumberIsWrittenAsJson) {
  const std::string out =
      answer(R"(,"logprobs":true,"stream":false)",
             {{.text = "ab",
               .logprobs = {{.chosen = {.logprob = -std::numeric_limits<double>::infinity(), .bytes = "a"}},
                            {.chosen = {.logprob = std::numeric_limits<double>::quiet_NaN(), .bytes = "b"}}},
               .finish = FinishReason::kStop}});
  EXPECT_TRUE(out.contains(R"([{"token":"a","logprob":-3.4028234663852886e+38,"bytes":[97]},)"
                           R"({"token":"b","logprob":-3.4028234663852886e+38,"bytes":[98]}])"))
      << out;
}

TEST(OllamaChat, ReadsOptions) {
  const auto call = decode(
      R"(,"options":{"temperature":0.5,"top_p":0.9,"top_k":40,"min_p":0.1,"repeat_penalty":1.1,"seed":7,)"
      R"("num_predict":9,"stop":["x"],"presence_penalty":0.5,"frequency_penalty":-0.5,"num_ctx":99999,)"
      R"("repeat_last_n":64,"typical_p":0.5,"mirostat":0,"what":1},"keep_alive":"5m")");
  ASSERT_TRUE(call) << call.error().message;
  const GenerateRequest& work = *call->generation();
  EXPECT_EQ(work.sampling.temperature, 0.5);
  EXPECT_EQ(work.sampling.top_p, 0.9);
  EXPECT_EQ(work.sampling.top_k, 40);
  EXPECT_EQ(work.sampling.min_p, 0.1);
  EXPECT_EQ(work.sampling.repetition_penalty, 1.1);
  EXPECT_EQ(work.sampling.presence_penalty, 0.5);
  EXPECT_EQ(work.sampling.frequency_penalty, -0.5);
  EXPECT_EQ(work.sampling.seed, 7U);
  EXPECT_EQ(work.sampling.penalty_window, 64);
  EXPECT_EQ(work.sampling.typical_p, 0.5);
  EXPECT_EQ(work.stop.max_tokens, 9U);
  EXPECT_EQ(work.stop.stop, std::vector<std::string>{"x"});
  EXPECT_EQ(call->unknown_fields, 1U);
  EXPECT_TRUE(call->stream);
  EXPECT_FALSE(decode(R"(,"options":{"num_predict":-1})")->generation()->stop.max_tokens);
}

TEST(OllamaChat, ReadsFormats) {
  EXPECT_EQ(decode(R"(,"format":"json")")->generation()->format.kind, OutputFormat::Kind::kJsonObject);
  const auto schema = decode(R"(,"format":{"type": "object"})");
  EXPECT_EQ(schema->generation()->format.kind, OutputFormat::Kind::kJsonSchema);
  EXPECT_EQ(schema->generation()->format.definition, R"({"type":"object"})");
  EXPECT_EQ(schema->generation()->format.field(), "format");
  EXPECT_EQ(decode(R"(,"format":"")")->generation()->format.kind, OutputFormat::Kind::kText);
}

TEST(OllamaChat, ToolsAnswersFindTheirCallsByName) {
  const auto call = ChatCodec().decode(
      R"({"messages":[{"role":"USER","content":"?"},{"role":"assistant","content":"","thinking":"hm","tool_calls":[)"
      R"({"function":{"name":"f","arguments":{"a": 1}}},{"function":{"name":"g","arguments":{}}}]},)"
      R"({"role":"tool","content":"2","tool_name":"g"},{"role":"tool","content":"1"}],)"
      R"("tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]})");
  ASSERT_TRUE(call) << call.error().message;
  const ChatPrompt& chat = chat_of(call);
  ASSERT_EQ(chat.messages.size(), 4U);
  EXPECT_EQ(chat.messages[0].role, "user");
  EXPECT_EQ(chat.messages[1].reasoning, "hm");
  EXPECT_EQ(chat.messages[1].tool_calls[0].arguments, R"({"a":1})");
  EXPECT_EQ(chat.messages[2].tool_call_id, chat.messages[1].tool_calls[1].id);
  EXPECT_EQ(chat.messages[3].tool_call_id, chat.messages[1].tool_calls[0].id);
  EXPECT_EQ(chat.messages[1].tool_calls[0].id.size(), 9U) << "which all templates take";
  EXPECT_EQ(chat.tools.size(), 1U);
}

TEST(OllamaChat, AnswersFindTheCallThatWaitedLongest) {
  // Calls f g f g f; answers g, unnamed, f, unnamed, unnamed, and one that answers none.
  std::string calls;
  for (const char* name : {"f", "g", "f", "g", "f"}) {
    if (!calls.empty()) calls += ',';
    calls += R"({"function":{"name":")" + std::string(name) + R"(","arguments":{}}})";
  }
  const auto call = ChatCodec().decode(
      R"({"messages":[{"role":"assistant","tool_calls":[)" + calls +
      R"(]},{"role":"tool","tool_name":"g"},{"role":"tool"},{"role":"tool","tool_name":"f"},)"
      R"({"role":"tool","tool_name":"h"},{"role":"tool"},{"role":"tool","tool_name":"f"}]})");
  ASSERT_TRUE(call) << call.error().message;
  std::vector<std::string> ids;
  for (const ChatMessage& message : chat_of(call).messages)
    if (message.role == "tool") ids.push_back(message.tool_call_id);
  EXPECT_EQ(ids, (std::vector<std::string>{"call00001", "call00000", "call00002", "call00003", "call00004",
                                           "call00005"}));
}

TEST(OllamaChat, ACallOfAnEarlierTurnIsNotAnswered) {
  const auto call = ChatCodec().decode(
      R"({"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f"}}]},{"role":"user"},)"
      R"({"role":"assistant","tool_calls":[{"function":{"name":"f"}}]},{"role":"tool","tool_name":"f"}]})");
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_EQ(chat_of(call).messages.back().tool_call_id, "call00001");
}

TEST(OllamaChat, WithoutMessagesItAsksForTheModel) {
  for (const char* body : {R"({"model":"alpha"})", R"({"model":"alpha","messages":[]})"}) {
    const auto call = ChatCodec().decode(body);
    ASSERT_TRUE(call) << call.error().message;
    EXPECT_TRUE(call->asks_nothing);
    std::string out;
    const auto encoder = call->make_encoder(kFacts);
    encoder->end({}, out);
    EXPECT_EQ(out, head(R"("message":{"role":"assistant","content":""},"done":true,"done_reason":"load"})"));
    EXPECT_EQ(encoder->content_type(), "application/json");
  }
}

TEST(OllamaChat, WrongInputIsRefusedByName) {
  for (const auto& [members, field] :
       {std::pair(R"(,"options":{"temperature":"warm"})", "options.temperature"),
        std::pair(R"(,"options":{"top_k":1.5})", "options.top_k"),
        std::pair(R"(,"options":{"num_predict":"all"})", "options.num_predict"),
        std::pair(R"(,"options":{"mirostat":2})", "options.mirostat"),
        std::pair(R"(,"options":{"stop":7})", "options.stop"),
        std::pair(R"(,"options":[])", "options"),
        std::pair(R"(,"format":"xml")", "format"),
        std::pair(R"(,"format":[])", "format"),
        std::pair(R"(,"think":"hard")", "think"),
        std::pair(R"(,"stream":"yes")", "stream"),
        std::pair(R"(,"keep_alive":[])", "keep_alive"),
        std::pair(R"(,"model":7)", "model"),
        std::pair(R"(,"messages":{})", "messages"),
        std::pair(R"(,"messages":["Hi"])", "messages[0]"),
        std::pair(R"(,"messages":[{"content":"Hi"}])", "messages[0].role"),
        std::pair(R"(,"messages":[{"role":"judge"}])", "messages[0].role"),
        std::pair(R"(,"messages":[{"role":"user","images":["AAAA"]}])", "messages[0].images"),
        std::pair(R"(,"messages":[{"role":"assistant","tool_calls":[{"function":{}}]}])",
                  "messages[0].tool_calls[0].function.name"),
        std::pair(
            R"(,"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}])",
            "messages[0].tool_calls[0].function.arguments"),
        std::pair(R"(,"tools":[{"type":"retrieval"}])", "tools[0].type"),
        std::pair(R"(,"tools":[{"type":"function","function":{}}])", "tools[0].function.name"),
        std::pair(R"(,"top_logprobs":2)", "top_logprobs"),
        std::pair(R"(,"_debug_render_only":true)", "_debug_render_only")}) {
    const auto call = decode(members);
    ASSERT_FALSE(call) << members;
    EXPECT_EQ(call.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(call.error().param, field) << call.error().message;
    EXPECT_TRUE(call.error().message.contains(field)) << call.error().message;
  }
}

}  // namespace
}  // namespace autoglm::protocol::ollama
