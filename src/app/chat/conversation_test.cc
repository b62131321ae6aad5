#include "app/chat/conversation.h"

#include <gtest/gtest.h>

namespace autoglm::app {
namespace {

TEST(Conversation, IsMessages) {
  Conversation conversation;
  EXPECT_EQ(conversation.messages(), "[]");
  conversation.ask("Hi \"you\"\n");
  conversation.answer("Hello");
  conversation.set_system("Be kind.");
  EXPECT_EQ(conversation.messages(),
            R"([{"role":"system","content":"Be kind."},{"role":"user","content":"Hi \"you\"\n"},)"
            R"({"role":"assistant","content":"Hello"}])");
}

TEST(Conversation, ForgetsAndKeepsWhatTheModelIsToldFirst) {
  Conversation conversation;
  conversation.set_system("s");
  conversation.ask("a");
  conversation.take_back();
  EXPECT_TRUE(conversation.empty());
  conversation.ask("a");
  conversation.reset();
  EXPECT_EQ(conversation.messages(), R"([{"role":"system","content":"s"}])");
}

TEST(Conversation, IsSavedForPeople) {
  Conversation conversation;
  conversation.set_system("s");
  conversation.ask("a");
  conversation.answer("b");
  EXPECT_EQ(conversation.markdown("m"),
            "# A conversation with m\n\n## System\n\ns\n\n## User\n\na\n\n## Assistant\n\nb\n");
}

}  // namespace
}  // namespace autoglm::app
