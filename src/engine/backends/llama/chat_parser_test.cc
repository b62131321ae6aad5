#include "engine/backends/llama/chat_renderer.h"
#include "engine/backends/llama/testing/tiny_vocabulary.h"
#include "engine/text/call_id.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::engine {
namespace {

/// What a client assembles from a stream, appending each piece.
struct Heard {
  std::string text;
  std::string reasoning;
  std::map<std::uint32_t, ToolCallDelta> calls;
  std::map<std::uint32_t, int> headers;  // pieces with a name
  std::optional<FinishReason> finish;
};

class ToolCalls : public ::testing::Test {
 protected:
  /// The answer to a request with two tools, from a model with the template `name`, `step` bytes at a time.
  Heard hear(const std::string& name, const std::string& answer, std::size_t step,
             FinishReason finish = FinishReason::kStop) {
    std::ifstream file(AUTOGLM_LLAMA_SOURCE "/models/templates/" + name + ".jinja");
    const std::string source{std::istreambuf_iterator<char>(file), {}};
    const auto renderer = ChatRenderer::create(tiny_.model(), tiny_.tree(), "", {.source = source});
    ChatPrompt chat;
    chat.messages.push_back({.role = "user", .content = "weather?"});
    for (const char* tool : {"get", "get_weather"}) {
      chat.tools.push_back({.name = tool,
                            .description = "",
                            .parameters = R"({"type":"object","properties":{"city":{"type":"string"}}})"});
    }
    const auto rendered = renderer->render(chat, {});
    EXPECT_TRUE(rendered) << rendered.error().message;
    const auto parser = rendered->make_parser();
    Heard heard;
    for (std::size_t at = 0; at < answer.size(); at += step) {
      TokenEvent event{.text = answer.substr(at, step)};
      if (at + step >= answer.size()) event.finish = finish;
      parser->parse(event);
      heard.text += event.text;
      heard.reasoning += event.reasoning;
      for (const ToolCallDelta& delta : event.tool_calls) {
        ToolCallDelta& call = heard.calls[delta.index];
        call.id += delta.id;
        call.name += delta.name;
        call.arguments += delta.arguments;
        if (!delta.name.empty()) ++heard.headers[delta.index];
      }
      heard.finish = event.finish;
    }
    return heard;
  }

  TinyVocabulary tiny_;
};

const std::string kHermesCall =
    "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}\n</tool_call>";

TEST_F(ToolCalls, AreNamedOnceHoweverTheyArrive) {
  for (const auto& [name, answer] : std::vector<std::pair<std::string, std::string>>{
           {"mistralai-Mistral-Nemo-Instruct-2407",
            R"([TOOL_CALLS][{"name": "get_weather", "arguments": {"city": "Paris"}, "id": "123456789"}])"},
           {"Qwen-Qwen2.5-7B-Instruct", kHermesCall},
           {"meta-llama-Llama-3.1-8B-Instruct",
            R"({"name": "get_weather", "parameters": {"city": "Paris"}})"},
           {"Qwen3-Coder",
            "<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n</function>\n</"
            "tool_call>"},
           {"LFM2-8B-A1B", R"(<|tool_call_start|>[get_weather(city="Paris")]<|tool_call_end|>)"}}) {
    for (const std::size_t step : {1, 2, 7, 1000}) {
      SCOPED_TRACE(name + " by " + std::to_string(step));
      Heard heard = hear(name, answer, step);
      ASSERT_EQ(heard.calls.size(), 1U) << heard.text;
      EXPECT_EQ(heard.calls[0].name, "get_weather");
      EXPECT_EQ(heard.headers[0], 1);
      EXPECT_LE(heard.calls[0].id.size(), 9U);
      std::string arguments = heard.calls[0].arguments;
      std::erase(arguments, ' ');
      EXPECT_EQ(arguments, R"({"city":"Paris"})");
      EXPECT_EQ(heard.text, "");
      EXPECT_EQ(heard.finish, FinishReason::kToolCalls);
    }
  }
}

TEST_F(ToolCalls, ThatFollowEachOtherAreEachNamedOnce) {
  for (const std::size_t step : {1, 3, 1000}) {
    Heard heard = hear("mistralai-Mistral-Nemo-Instruct-2407",
                       R"([TOOL_CALLS][{"name": "get", "arguments": {}, "id": "123456789"}, )"
                       R"({"name": "get_weather", "arguments": {"city": "Paris"}, "id": "abcdefghi"}])",
                       step);
    ASSERT_EQ(heard.calls.size(), 2U) << step;
    EXPECT_EQ(heard.calls[0].name, "get");
    EXPECT_EQ(heard.calls[0].arguments, "{}");
    EXPECT_EQ(heard.calls[1].name, "get_weather");
    EXPECT_EQ(heard.headers, (std::map<std::uint32_t, int>{{0, 1}, {1, 1}}));
  }
}

TEST_F(ToolCalls, ThatAStopStringCutsEndWithStop) {
  const std::string cut = kHermesCall.substr(0, kHermesCall.find("ris"));
  for (const std::size_t step : {1, 1000}) {
    Heard heard = hear("Qwen-Qwen2.5-7B-Instruct", cut, step);
    EXPECT_EQ(heard.finish, FinishReason::kStop) << step;
    EXPECT_EQ(heard.calls[0].name, "get_weather");
  }
  EXPECT_EQ(hear("Qwen-Qwen2.5-7B-Instruct", cut, 1, FinishReason::kLength).finish, FinishReason::kLength);
  EXPECT_EQ(hear("Qwen-Qwen2.5-7B-Instruct", "no call", 1).finish, FinishReason::kStop);
}

TEST(CallId, IsNineLettersAndDigits) {
  EXPECT_NE(call_id("a 0 0"), call_id("a 0 1"));
  EXPECT_NE(call_id("a 0 0"), call_id("b 0 0"));
  EXPECT_EQ(call_id("a 0 0"), call_id("a 0 0"));
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(is_call_id(call_id(std::to_string(i))));
  EXPECT_FALSE(is_call_id("call_1234"));
  EXPECT_FALSE(is_call_id("12345678"));
}

}  // namespace
}  // namespace autoglm::engine
