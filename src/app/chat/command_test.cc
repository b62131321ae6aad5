#include "app/chat/command.h"

#include <gtest/gtest.h>

namespace autoglm::app {
namespace {

using Kind = ChatCommand::Kind;

TEST(ChatCommand, IsReadWithItsArgument) {
  const auto command = read_command("/system  You are terse. ");
  ASSERT_TRUE(command && *command);
  EXPECT_EQ((*command)->kind, Kind::kSystem);
  EXPECT_EQ((*command)->argument, "You are terse.");
  for (const auto& [text, kind] : {std::pair{"/model", Kind::kModel},
                                   {"/reset", Kind::kReset},
                                   {"/save", Kind::kSave},
                                   {"/help", Kind::kHelp},
                                   {"/exit", Kind::kExit},
                                   {"/quit ", Kind::kExit}}) {
    const auto one = read_command(text);
    ASSERT_TRUE(one && *one) << text;
    EXPECT_EQ((*one)->kind, kind);
    EXPECT_EQ((*one)->argument, "");
  }
}

TEST(ChatCommand, LeavesToTheModelWhatIsNone) {
  for (const std::string_view text :
       {"Hello", " /help", "/", "/etc/passwd is what?", "/* C */", "//", "/model\nmultiline", ""})
    EXPECT_FALSE(read_command(text)) << text;
}

TEST(ChatCommand, SaysWhichOneWasMeant) {
  const auto command = read_command("/rest");
  ASSERT_TRUE(command);
  ASSERT_FALSE(*command);
  EXPECT_NE(command->error().message.find("did you mean /reset?"), std::string::npos)
      << command->error().message;
  EXPECT_NE(command->error().message.find("begin with a space"), std::string::npos);
}

TEST(Completions, AreCommandsAndModels) {
  const std::vector<std::string> models = {"glm-4", "glm-3", "smollm2"};
  EXPECT_EQ(completions("/s", models), (std::vector<std::string>{"/system", "/save"}));
  EXPECT_EQ(completions("/model gl", models), (std::vector<std::string>{"/model glm-4", "/model glm-3"}));
  EXPECT_EQ(completions("/model x", models), std::vector<std::string>());
  EXPECT_EQ(completions("Hello", models), std::vector<std::string>());
  EXPECT_EQ(completions("", models), std::vector<std::string>());
}

TEST(ChatHelp, NamesEveryCommandInAsManyColumnsAsATerminalHas) {
  std::size_t begin = 0;
  for (std::size_t end = 0; (end = chat_help().find('\n', begin)) != std::string_view::npos; begin = end + 1)
    EXPECT_LE(end - begin, 80U) << chat_help().substr(begin, end - begin);
  for (const std::string& name : completions("/", {}))
    if (name != "/quit") EXPECT_NE(chat_help().find(name), std::string_view::npos) << name;
}

}  // namespace
}  // namespace autoglm::app
