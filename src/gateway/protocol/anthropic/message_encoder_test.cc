#include "gateway/protocol/anthropic/message_encoder.h"

#include "gateway/protocol/anthropic/messages_codec.h"

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::protocol::anthropic {
namespace {

using Events = std::vector<TokenEvent>;

const AnswerFacts kFacts{.id = "1", .model = "m", .created = 1700000000};
const Usage kUsage{.prompt_tokens = 7, .cached_tokens = 4, .completion_tokens = 9};

std::unique_ptr<AnswerEncoder> encoder(bool stream, const std::string& members = {}) {
  const auto call = MessagesCodec().decode(
      R"({"max_tokens":9,"messages":[{"role":"user","content":"x"}],"stop_sequences":["END","."],"stream":)" +
      std::string(stream ? "true" : "false") + members + "}");
  EXPECT_TRUE(call) << call.error().message;
  return call->make_encoder(kFacts);
}

std::string encode(bool stream, const Events& events, const std::string& members = {}) {
  const auto made = encoder(stream, members);
  std::string out;
  for (const TokenEvent& event : events) made->events({.events = {event}}, out);
  made->end(kUsage, out);
  return out;
}

/// The stream's events, a line each, without what all streams have in common.
std::string stream_of(const Events& events) {
  const std::string out = encode(true, events);
  std::string lines;
  for (std::size_t at = 0; at < out.size();) {
    const std::size_t end = out.find("\n\n", at);
    const std::string_view frame = std::string_view(out).substr(at, end - at);
    const std::size_t line = frame.find('\n');
    const std::string_view name = frame.substr(7, line - 7);
    const std::string_view data = frame.substr(line + 7);
    EXPECT_TRUE(frame.starts_with("event: ")) << frame;
    EXPECT_TRUE(frame.substr(line + 1).starts_with("data: ")) << frame;
    const std::string begin = R"({"type":")" + std::string(name) + '"';
    EXPECT_TRUE(data.starts_with(begin)) << frame;
    lines.append(name).append(data.substr(begin.size())).append("\n");
    at = end + 2;
  }
  return lines;
}

constexpr const char* kStart =
    R"(message_start,"message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],)"
    R"("stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"cache_creation_input_tokens":0,)"
    R"("cache_read_input_tokens":0,"output_tokens":0}}}
)";
constexpr const char* kUsageText =
    R"("usage":{"input_tokens":3,"cache_creation_input_tokens":0,"cache_read_input_tokens":4,"output_tokens":9}})";

std::string stop_lines(const std::string& reason, const std::string& sequence = "null") {
  return R"(message_delta,"delta":{"stop_reason":")" + reason + R"(","stop_sequence":)" + sequence + "}," +
         kUsageText + "\nmessage_stop}\n";
}

std::string document(const std::string& content, const std::string& reason,
                     const std::string& sequence = "null") {
  return R"({"id":"msg_1","type":"message","role":"assistant","model":"m","content":[)" + content +
         R"(],"stop_reason":")" + reason + R"(","stop_sequence":)" + sequence + "," + kUsageText;
}

TokenEvent text(std::string more) { return {.tokens = {1}, .text = std::move(more)}; }
TokenEvent thought(std::string more) { return {.tokens = {1}, .reasoning = std::move(more)}; }
TokenEvent call(std::uint32_t index, std::string id, std::string name, std::string arguments) {
  return {
      .tokens = {1},
      .tool_calls = {
          {.index = index, .id = std::move(id), .name = std::move(name), .arguments = std::move(arguments)}}};
}
TokenEvent ending(FinishReason reason, std::string stop = {}) {
  return {.tokens = {1}, .finish = reason, .stop = std::move(stop)};
}

TEST(AnthropicMessages, Text) {
  const Events events = {text("Hel"), text(""), text("lo \"you\"\n"), ending(FinishReason::kStop)};
  EXPECT_EQ(stream_of(events), std::string(kStart) +
                                   R"(content_block_start,"index":0,"content_block":{"type":"text","text":""}}
content_block_delta,"index":0,"delta":{"type":"text_delta","text":"Hel"}}
content_block_delta,"index":0,"delta":{"type":"text_delta","text":"lo \"you\"\n"}}
content_block_stop,"index":0}
)" + stop_lines("end_turn"));
  EXPECT_EQ(encode(false, events), document(R"({"type":"text","text":"Hello \"you\"\n"})", "end_turn"));
}

TEST(AnthropicMessages, ThinkingTextAndParallelCalls) {
  const Events events = {thought("hm"),
                         thought("?"),
                         text("I look."),
                         call(0, "c1", "f", R"({"a")"),
                         call(0, "", "", ":1}"),
                         call(1, "c2", "g", ""),
                         ending(FinishReason::kToolCalls)};
  EXPECT_EQ(
      stream_of(events),
      std::string(kStart) +
          R"(content_block_start,"index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}
content_block_delta,"index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}
content_block_delta,"index":0,"delta":{"type":"thinking_delta","thinking":"?"}}
content_block_stop,"index":0}
content_block_start,"index":1,"content_block":{"type":"text","text":""}}
content_block_delta,"index":1,"delta":{"type":"text_delta","text":"I look."}}
content_block_stop,"index":1}
content_block_start,"index":2,"content_block":{"type":"tool_use","id":"c1","name":"f","input":{}}}
content_block_delta,"index":2,"delta":{"type":"input_json_delta","partial_json":"{\"a\""}}
content_block_delta,"index":2,"delta":{"type":"input_json_delta","partial_json":":1}"}}
content_block_stop,"index":2}
content_block_start,"index":3,"content_block":{"type":"tool_use","id":"c2","name":"g","input":{}}}
content_block_stop,"index":3}
)" + stop_lines("tool_use"));
  EXPECT_EQ(
      encode(false, events),
      document(R"({"type":"thinking","thinking":"hm?","signature":""},{"type":"text","text":"I look."},)"
               R"({"type":"tool_use","id":"c1","name":"f","input":{"a":1}},)"
               R"({"type":"tool_use","id":"c2","name":"g","input":{}})",
               "tool_use"));
}

TEST(AnthropicMessages, ThoughtsThatAreNotToBeShownAreAnEmptyBlock) {
  const Events events = {thought("secret"), text("Hi"), ending(FinishReason::kStop)};
  const std::string hidden = R"(,"thinking":{"type":"adaptive","display":"omitted"})";
  for (const bool stream : {true, false}) {
    const std::string out = encode(stream, events, hidden);
    EXPECT_EQ(out.find("secret"), std::string::npos) << out;
    EXPECT_NE(out.find(R"("type":"thinking")"), std::string::npos) << out;
  }
}

TEST(AnthropicMessages, SaysWhyTheAnswerEnded) {
  const auto both = [](const TokenEvent& last, const std::string& reason,
                       const std::string& sequence = "null") {
    const std::string wanted = R"("stop_reason":")" + reason + R"(","stop_sequence":)" + sequence;
    for (const bool stream : {true, false}) {
      const std::string out = encode(stream, {text("Hi"), last});
      EXPECT_NE(out.find(wanted), std::string::npos) << out;
    }
  };
  both(ending(FinishReason::kLength), "max_tokens");
  both(ending(FinishReason::kStop, "END"), "stop_sequence", "\"END\"");
  both(ending(FinishReason::kStop, "<|im_end|>"), "end_turn");  // the template's, not the client's
  both(ending(FinishReason::kToolCalls, "END"), "tool_use");
  // 9 tokens were asked for and the model made as many; of 10 the context had no room for the last.
  const std::string out = encode(false, {text("Hi"), ending(FinishReason::kLength)}, R"(,"max_tokens":10)");
  EXPECT_NE(out.find(R"("stop_reason":"model_context_window_exceeded")"), std::string::npos) << out;
}

TEST(AnthropicMessages, ACallThatWasCutIsStreamedAsItCameAndEmptyInADocument) {
  const Events events = {call(0, "c1", "f", R"({"a":"x)"), ending(FinishReason::kLength)};
  EXPECT_NE(encode(true, events).find(R"("partial_json":"{\"a\":\"x")"), std::string::npos);
  EXPECT_EQ(encode(false, events),
            document(R"({"type":"tool_use","id":"c1","name":"f","input":{}})", "max_tokens"));
}

TEST(AnthropicMessages, AnAnswerOfNothingIsAnAnswer) {
  EXPECT_EQ(encode(false, {ending(FinishReason::kStop)}), document("", "end_turn"));
  EXPECT_EQ(stream_of({}), kStart + stop_lines("end_turn"));
}

TEST(AnthropicMessages, AFailureIsOneErrorEventAndNoEnd) {
  for (std::size_t before = 0; before < 3; ++before) {
    const auto made = encoder(true);
    std::string out;
    for (std::size_t i = 0; i < before; ++i) made->events({.events = {text("Hi")}}, out);
    made->failure({.code = ErrorCode::kUnavailable, .message = "gone"}, out);
    EXPECT_TRUE(
        out.ends_with("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\","
                      "\"message\":\"gone\"}}\n\n"))
        << out;
    EXPECT_EQ(out.find("message_stop"), std::string::npos);
    EXPECT_EQ(out.find("message_delta"), std::string::npos);
  }
}

TEST(AnthropicMessages, AStreamWithNothingToSayPings) {
  EXPECT_EQ(encoder(true)->keep_alive(), "event: ping\ndata: {\"type\":\"ping\"}\n\n");
  EXPECT_EQ(encoder(false)->keep_alive(), "");
}

/// What a client has when it has put the stream's events together.
std::string assembled(const Events& events) {
  const std::string out = encode(true, events);
  boost::json::object message;
  std::vector<std::string> inputs;
  for (std::size_t at = 0; (at = out.find("data: ", at)) != std::string::npos;) {
    const std::size_t end = out.find("\n\n", at);
    const auto event = boost::json::parse(out.substr(at + 6, end - at - 6)).as_object();
    at = end;
    const std::string_view type = event.at("type").as_string();
    if (type == "message_start") message = event.at("message").as_object();
    if (type == "content_block_start") {
      message["content"].as_array().push_back(event.at("content_block"));
      inputs.emplace_back();
    }
    if (type == "content_block_delta") {
      const auto index = static_cast<std::size_t>(event.at("index").as_int64());
      auto& block = message["content"].as_array().at(index).as_object();
      for (const auto& [key, value] : event.at("delta").as_object()) {
        if (key == "partial_json") inputs.at(index) += std::string_view(value.as_string());
        if (key == "text" || key == "thinking") block[key].as_string() += std::string_view(value.as_string());
      }
    }
    if (type == "content_block_stop" && !inputs.back().empty())
      message["content"].as_array().back().as_object()["input"] = boost::json::parse(inputs.back());
    if (type == "message_delta") {
      for (const auto& [key, value] : event.at("delta").as_object()) message[key] = value;
      message["usage"] = event.at("usage");
    }
  }
  return boost::json::serialize(message);
}

TEST(AnthropicMessages, AStreamPutTogetherIsTheWholeAnswer) {
  const std::vector<Events> answers = {
      {text("a"), text("b"), ending(FinishReason::kLength)},
      {thought("t"), text("a"), thought("u"), text("b"), ending(FinishReason::kStop, "END")},
      {call(0, "c1", "f", R"({"x":)"), call(0, "", "", "[1]}"), call(1, "c2", "f", "{}"),
       ending(FinishReason::kToolCalls)},
      {text("a"), call(0, "c1", "f", "{}"), text("b"), ending(FinishReason::kToolCalls)},
      {}};
  for (const Events& events : answers)
    EXPECT_EQ(assembled(events), boost::json::serialize(boost::json::parse(encode(false, events))));
}

TEST(AnthropicMessages, CallsThatAnEndpointWritesAtATimeStandOneAfterAnother) {
  const Events events = {
      {.tool_calls = {{.index = 0, .name = "f", .arguments = R"({"a")"},
                      {.index = 1, .id = "c2", .name = "g", .arguments = R"({"b":)"}}},
      {.tool_calls = {{.index = 0, .arguments = R"(:"}\"{"})"}, {.index = 1, .arguments = "2}"}}},
      {.finish = FinishReason::kToolCalls}};
  EXPECT_EQ(
      stream_of(events),
      std::string(kStart) +
          R"(content_block_start,"index":0,"content_block":{"type":"tool_use","id":"call_1_0","name":"f","input":{}}}
content_block_delta,"index":0,"delta":{"type":"input_json_delta","partial_json":"{\"a\""}}
content_block_delta,"index":0,"delta":{"type":"input_json_delta","partial_json":":\"}\\\"{\"}"}}
content_block_stop,"index":0}
content_block_start,"index":1,"content_block":{"type":"tool_use","id":"c2","name":"g","input":{}}}
content_block_delta,"index":1,"delta":{"type":"input_json_delta","partial_json":"{\"b\":"}}
content_block_delta,"index":1,"delta":{"type":"input_json_delta","partial_json":"2}"}}
content_block_stop,"index":1}
)" + stop_lines("tool_use"));
}

TEST(AnthropicMessages, CallsThatAreHeldComeBeforeTheNextTextAndAtTheEnd) {
  const auto made = encoder(true);
  std::string out;
  made->events({.events = {{.tool_calls = {{.index = 0, .name = "f", .arguments = "{"},
                                           {.index = 1, .name = "g", .arguments = R"({"b":2})"}}}}},
               out);
  EXPECT_FALSE(out.contains(R"("name":"g")")) << out;
  EXPECT_EQ(made->kept(), 7U);
  made->events({.events = {{.text = "x"}}}, out);
  EXPECT_EQ(made->kept(), 0U);
  EXPECT_LT(out.find(R"("name":"g")"), out.find(R"("type":"text")")) << out;
  made->events({.events = {{.tool_calls = {{.index = 2, .name = "h"}, {.index = 3, .name = "i"}}}}}, out);
  made->end(kUsage, out);
  EXPECT_TRUE(out.contains(R"("id":"call_1_3","name":"i")")) << out;
}

}  // namespace
}  // namespace autoglm::protocol::anthropic
