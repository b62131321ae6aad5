#include "engine/backends/llama/llama_backend.h"

#include <gtest/gtest.h>

#include <string>

namespace autoglm::engine {
namespace {

/// What a chat is refused with; an empty field: it is not.
class ChatRefusal : public ::testing::Test {
 protected:
  Error of(const ChatPrompt& chat) const {
    const auto rendered = backend_->render_chat(chat, {});
    return rendered ? Error() : rendered.error();
  }
  static ChatPrompt asking(std::size_t tools, const std::string& name = "f") {
    ChatPrompt chat;
    chat.messages.push_back({.role = "user", .content = "hello"});
    for (std::size_t i = 0; i < tools; ++i)
      chat.tools.push_back({.name = name, .description = "", .parameters = R"({"type":"object"})"});
    return chat;
  }

 private:
  std::unique_ptr<Backend> backend_ =
      load_llama_backend(
          {.path = AUTOGLM_TINY_MODEL, .context = 256, .cache_cells = 256, .max_batch = 64, .threads = 1},
          [](double) { return true; })
          .value();
};

TEST_F(ChatRefusal, ToolsAreSoManyAndTheirNamesSoLong) {
  EXPECT_EQ(of(asking(3)).param, "");
  EXPECT_NE(of(asking(513)).message.find("at most 512 tools, got 513"), std::string::npos);
  EXPECT_EQ(of(asking(1, std::string(256, 'n'))).param, "");
  EXPECT_NE(of(asking(1, std::string(257, 'n'))).message.find("over 256 bytes"), std::string::npos);
  ChatPrompt impossible = asking(1, "pick");
  impossible.tools[0].parameters = R"({"properties":{"a":{"type":"integer","minimum":5,"maximum":1}}})";
  const Error error = of(impossible);
  EXPECT_EQ(error.param, "tools");
  EXPECT_NE(error.message.find("the tool pick cannot be kept to: at #/properties/a:"), std::string::npos)
      << error.message;
}

TEST_F(ChatRefusal, ArgumentsOfACallAreJsonThatNestsNotTooDeep) {
  const auto called = [](std::string arguments) {
    ChatPrompt chat = asking(1);
    ChatMessage& message = chat.messages.emplace_back(ChatMessage{.role = "assistant"});
    message.tool_calls.push_back({.id = "1", .name = "f", .arguments = std::move(arguments)});
    return chat;
  };
  const auto nested = [](std::size_t depth) {
    return R"({"a":)" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  EXPECT_EQ(of(called(R"({"a":1})")).param, "");
  EXPECT_EQ(of(called("")).param, "") << "some clients say so that there are none";
  EXPECT_EQ(of(called(nested(100))).param, "");
  for (const std::string& wrong : {std::string("{nope"), nested(200), nested(50'000)})
    EXPECT_EQ(of(called(wrong)).param, "messages[1].tool_calls[0].function.arguments") << wrong.substr(0, 20);
}

}  // namespace
}  // namespace autoglm::engine
