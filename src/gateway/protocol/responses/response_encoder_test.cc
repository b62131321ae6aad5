#include "gateway/protocol/responses/response_encoder.h"

#include "gateway/protocol/responses/responses_codec.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::protocol::responses {
namespace {

using Events = std::vector<TokenEvent>;

const AnswerFacts kFacts{.id = "1", .model = "m", .created = 1700000000};
const Usage kUsage{.prompt_tokens = 7, .cached_tokens = 4, .completion_tokens = 9};

std::unique_ptr<AnswerEncoder> encoder(bool stream, const std::string& members = {},
                                       OnFinished on_finished = nullptr) {
  auto request =
      read_request(R"({"input":"x","stream":)" + std::string(stream ? "true" : "false") + members + "}");
  EXPECT_TRUE(request) << request.error().message;
  make_prompt(*request, {});
  return make_call(std::move(*request), std::move(on_finished)).make_encoder(kFacts);
}

std::string encode(bool stream, const Events& events, const std::string& members = {}) {
  const auto made = encoder(stream, members);
  std::string out;
  for (const TokenEvent& event : events) made->events({.events = {event}}, out);
  made->end(kUsage, out);
  return out;
}

/// A response object of the plain request.
std::string response(const std::string& status, const std::string& output, const std::string& usage,
                     const std::string& incomplete = "null", const std::string& error = "null") {
  return fmt::format(
      R"({{"id":"resp_1","object":"response","created_at":1700000000,"status":"{}","background":false,"error":{},)"
      R"("incomplete_details":{},"instructions":null,"max_output_tokens":null,"model":"m","output":[{}],)"
      R"("parallel_tool_calls":true,"previous_response_id":null,"reasoning":{{"effort":null,"summary":null}},)"
      R"("service_tier":"default","store":true,"temperature":null,"text":{{"format":{{"type":"text"}}}},)"
      R"("tool_choice":"auto","tools":[],"top_logprobs":0,"top_p":null,"truncation":"disabled","usage":{},"user":null,)"
      R"("metadata":{{}}}})",
      status, error, incomplete, output, usage);
}

std::string usage_text(int reasoning) {
  return fmt::format(R"({{"input_tokens":7,"input_tokens_details":{{"cached_tokens":4}},"output_tokens":9,)"
                     R"("output_tokens_details":{{"reasoning_tokens":{}}},"total_tokens":16}})",
                     reasoning);
}

/// The stream's events, a line each: the type, and what follows the number, which must be the next.
std::string lines_of(std::string_view out) {
  std::string lines;
  for (int number = 0; !out.empty(); ++number) {
    const std::size_t end = out.find("\n\n");
    const std::string_view frame = out.substr(0, end);
    const std::size_t line = frame.find('\n');
    EXPECT_TRUE(frame.starts_with("event: ")) << frame;
    const std::string type(frame.substr(7, line - 7));
    const std::string begin = fmt::format(R"(data: {{"type":"{}","sequence_number":{})", type, number);
    EXPECT_TRUE(frame.substr(line + 1).starts_with(begin)) << frame << "\nwanted: " << begin;
    lines += type.substr(type.find('.') + 1);
    lines.append(frame.substr(line + 1 + begin.size())).append("\n");
    out.remove_prefix(end + 2);
  }
  return lines;
}

std::string start() {
  const std::string begun = response("in_progress", "", "null");
  return "created,\"response\":" + begun + "}\nin_progress,\"response\":" + begun + "}\n";
}

TokenEvent text(std::string more) { return {.tokens = {1}, .text = std::move(more)}; }
TokenEvent thought(std::string more) { return {.tokens = {1}, .reasoning = std::move(more)}; }
TokenEvent call(std::uint32_t index, std::string id, std::string name, std::string arguments) {
  return {
      .tokens = {1},
      .tool_calls = {
          {.index = index, .id = std::move(id), .name = std::move(name), .arguments = std::move(arguments)}}};
}
TokenEvent ending(FinishReason reason) { return {.tokens = {1}, .finish = reason}; }

constexpr const char* kHello =
    R"({"id":"msg_1_0","type":"message","role":"assistant","status":"completed","content":[{"type":"output_text","annotations":[],"logprobs":[],"text":"Hello"}]})";

TEST(Responses, Text) {
  const Events events = {text("Hel"), text(""), text("lo"), ending(FinishReason::kStop)};
  const std::string done = response("completed", kHello, usage_text(0));
  EXPECT_EQ(encode(false, events), done);
  EXPECT_EQ(
      lines_of(encode(true, events)),
      start() +
          R"(output_item.added,"output_index":0,"item":{"id":"msg_1_0","type":"message","role":"assistant","status":"in_progress","content":[]}}
content_part.added,"item_id":"msg_1_0","output_index":0,"content_index":0,"part":{"type":"output_text","annotations":[],"logprobs":[],"text":""}}
output_text.delta,"item_id":"msg_1_0","output_index":0,"content_index":0,"delta":"Hel","logprobs":[]}
output_text.delta,"item_id":"msg_1_0","output_index":0,"content_index":0,"delta":"lo","logprobs":[]}
output_text.done,"item_id":"msg_1_0","output_index":0,"content_index":0,"text":"Hello","logprobs":[]}
content_part.done,"item_id":"msg_1_0","output_index":0,"content_index":0,"part":{"type":"output_text","annotations":[],"logprobs":[],"text":"Hello"}}
output_item.done,"output_index":0,"item":)" +
          kHello + "}\ncompleted,\"response\":" + done + "}\n");
}

TEST(Responses, ReasoningAndParallelCalls) {
  const Events events = {thought("h"),
                         thought("m"),
                         call(0, "c1", "f", "{\"a\""),
                         call(0, "", "", ":1}"),
                         call(1, "c2", "g", "{}"),
                         ending(FinishReason::kToolCalls)};
  const std::string thinking =
      R"({"id":"rs_1_0","type":"reasoning","summary":[],"status":"completed","content":[{"type":"reasoning_text","text":"hm"}]})";
  const std::string first =
      R"({"id":"fc_1_1","type":"function_call","status":"completed","call_id":"c1","name":"f","arguments":"{\"a\":1}"})";
  const std::string second =
      R"({"id":"fc_1_2","type":"function_call","status":"completed","call_id":"c2","name":"g","arguments":"{}"})";
  const std::string done = response("completed", thinking + "," + first + "," + second, usage_text(2));
  EXPECT_EQ(encode(false, events), done);
  EXPECT_EQ(
      lines_of(encode(true, events)),
      start() +
          R"(output_item.added,"output_index":0,"item":{"id":"rs_1_0","type":"reasoning","summary":[],"status":"in_progress","content":[]}}
content_part.added,"item_id":"rs_1_0","output_index":0,"content_index":0,"part":{"type":"reasoning_text","text":""}}
reasoning_text.delta,"item_id":"rs_1_0","output_index":0,"content_index":0,"delta":"h"}
reasoning_text.delta,"item_id":"rs_1_0","output_index":0,"content_index":0,"delta":"m"}
reasoning_text.done,"item_id":"rs_1_0","output_index":0,"content_index":0,"text":"hm"}
content_part.done,"item_id":"rs_1_0","output_index":0,"content_index":0,"part":{"type":"reasoning_text","text":"hm"}}
output_item.done,"output_index":0,"item":)" +
          thinking +
          R"(}
output_item.added,"output_index":1,"item":{"id":"fc_1_1","type":"function_call","status":"in_progress","call_id":"c1","name":"f","arguments":""}}
function_call_arguments.delta,"item_id":"fc_1_1","output_index":1,"delta":"{\"a\""}
function_call_arguments.delta,"item_id":"fc_1_1","output_index":1,"delta":":1}"}
function_call_arguments.done,"item_id":"fc_1_1","output_index":1,"name":"f","arguments":"{\"a\":1}"}
output_item.done,"output_index":1,"item":)" +
          first +
          R"(}
output_item.added,"output_index":2,"item":{"id":"fc_1_2","type":"function_call","status":"in_progress","call_id":"c2","name":"g","arguments":""}}
function_call_arguments.delta,"item_id":"fc_1_2","output_index":2,"delta":"{}"}
function_call_arguments.done,"item_id":"fc_1_2","output_index":2,"name":"g","arguments":"{}"}
output_item.done,"output_index":2,"item":)" +
          second + "}\ncompleted,\"response\":" + done + "}\n");
}

TEST(Responses, AnAnswerThatWasCutIsIncomplete) {
  const Events events = {text("Hello"), ending(FinishReason::kLength)};
  std::string item = kHello;
  item.replace(item.find("completed"), 9, "incomplete");
  const std::string done = response("incomplete", item, usage_text(0), R"({"reason":"max_output_tokens"})");
  EXPECT_EQ(encode(false, events), done);
  const std::string streamed = lines_of(encode(true, events));
  EXPECT_TRUE(streamed.ends_with("output_item.done,\"output_index\":0,\"item\":" + item +
                                 "}\nincomplete,\"response\":" + done + "}\n"))
      << streamed;
}

TEST(Responses, AFailureInTheMiddleIsAFailedResponse) {
  const auto made = encoder(true);
  std::string out;
  made->events({.events = {text("Hello")}}, out);
  made->failure({.code = ErrorCode::kBadGateway, .message = "broke \"off\""}, out);
  std::string item = kHello;
  item.replace(item.find("completed"), 9, "incomplete");
  const std::string lines = lines_of(out);
  EXPECT_TRUE(lines.ends_with(
      "\nfailed,\"response\":" +
      response("failed", item, "null", "null", R"({"code":"server_error","message":"broke \"off\""})") +
      "}\n"))
      << lines;
  EXPECT_EQ(lines.find("completed,"), std::string::npos);
}

TEST(Responses, AFailureBeforeTheResponseIsAnError) {
  std::string out;
  encoder(true)->failure(
      {.code = ErrorCode::kResourceExhausted, .message = "full", .param = "", .reason = "queue_full"}, out);
  EXPECT_EQ(out,
            "event: error\ndata: {\"type\":\"error\",\"sequence_number\":0,\"code\":\"queue_full\","
            "\"message\":\"full\",\"param\":null}\n\n");
}

TEST(Responses, AnAnswerOfNothingIsAnAnswer) {
  EXPECT_EQ(encode(false, {}), response("completed", "", usage_text(0)));
  EXPECT_EQ(lines_of(encode(true, {})),
            start() + "completed,\"response\":" + response("completed", "", usage_text(0)) + "}\n");
}

TEST(Responses, RepeatsWhatWasAsked) {
  const auto document = boost::json::parse(
      encode(false, {},
             R"(,"instructions":"i","max_output_tokens":9,"metadata":{"a":"b"},"temperature":0.5,"user":"u",)"
             R"("tools":[{"type":"function","name":"f"}],"tool_choice":{"type":"function","name":"f"},)"
             R"("text":{"format":{"type":"json_object"}},"reasoning":{"effort":"low"},"store":false,)"
             R"("truncation":"auto","top_p":1,"parallel_tool_calls":false)"));
  EXPECT_EQ(document.at("instructions"), "i");
  EXPECT_EQ(document.at("max_output_tokens"), 9);
  EXPECT_EQ(document.at("metadata").at("a"), "b");
  EXPECT_EQ(document.at("temperature"), 0.5);
  EXPECT_EQ(document.at("tools").at(0).at("name"), "f");
  EXPECT_EQ(document.at("tool_choice").at("name"), "f");
  EXPECT_EQ(document.at("text").at("format").at("type"), "json_object");
  EXPECT_EQ(document.at("reasoning").at("effort"), "low");
  EXPECT_EQ(document.at("store"), false);
  EXPECT_EQ(document.at("truncation"), "auto");
  EXPECT_EQ(document.at("parallel_tool_calls"), false);
}

TEST(Responses, LogprobsStandWithTheirText) {
  const auto token = [](std::string bytes, std::string shown, std::string thinks = {}) {
    TokenEvent event{.tokens = {1}, .text = std::move(shown), .reasoning = std::move(thinks)};
    event.logprobs.push_back({.chosen = {.token = 1, .logprob = -1, .bytes = std::move(bytes)}, .top = {}});
    return event;
  };
  const std::string asked = R"(,"include":["message.output_text.logprobs"])";
  const Events events = {token("t", "", "t"), token("H", ""), token("i", "Hi"), ending(FinishReason::kStop)};
  const std::string list =
      R"([{"token":"H","logprob":-1,"bytes":[72],"top_logprobs":[]},{"token":"i","logprob":-1,"bytes":[105],"top_logprobs":[]}])";
  EXPECT_NE(encode(false, events, asked).find(R"("logprobs":)" + list + R"(,"text":"Hi")"), std::string::npos)
      << encode(false, events, asked);
  EXPECT_NE(encode(true, events, asked).find(R"("delta":"Hi","logprobs":)" + list), std::string::npos);
}

TEST(Responses, WhatIsFinishedIsKeptOnceAndAsTheClientGotIt) {
  for (const bool stream : {true, false}) {
    std::vector<FinishedResponse> kept;
    const auto made =
        encoder(stream, "", [&kept](FinishedResponse finished) { kept.push_back(std::move(finished)); });
    std::string out;
    for (const TokenEvent& event : {thought("hm"), text("Hel"), text("lo"), call(0, "c1", "f", "{}")})
      made->events({.events = {event}}, out);
    EXPECT_TRUE(kept.empty());
    EXPECT_EQ(made->kept(), stream ? 9U : 0U) << "documents are counted as they grow";
    made->end(kUsage, out);
    ASSERT_EQ(kept.size(), 1U);
    EXPECT_EQ(kept[0].id, "resp_1");
    EXPECT_NE(out.find(kept[0].document), std::string::npos);
    EXPECT_EQ(kept[0].message.role, "assistant");
    EXPECT_EQ(kept[0].message.content, "Hello");
    EXPECT_EQ(kept[0].message.reasoning, "hm");
    EXPECT_EQ(kept[0].message.tool_calls.at(0).id, "c1");
  }
  bool called = false;
  std::string out;
  encoder(true, "", [&called](const FinishedResponse&) { called = true; })->failure({.message = "x"}, out);
  EXPECT_FALSE(called) << "nothing goes on from an answer that failed";
}

}  // namespace
}  // namespace autoglm::protocol::responses
