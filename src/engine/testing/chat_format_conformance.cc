#include "engine/testing/chat_format_conformance.h"

#include <string>

namespace autoglm::engine {

ChatFormatImplementation::ChatFormatImplementation(const BackendImplementation& backend)
    : BackendImplementation(backend) {}

ChatFormatConformance::~ChatFormatConformance() = default;

namespace {

TEST_P(ChatFormatConformance, AppliesAChatTemplate) {
  ChatPrompt chat;
  chat.messages.push_back({.role = "user", .content = "What is this?"});
  const auto rendered = backend_.chat->render(chat, {});
  ASSERT_TRUE(rendered);
  EXPECT_NE(rendered->text.find("What is this?"), std::string::npos);
  EXPECT_NE(rendered->text.find("assistant"), std::string::npos);
}

TEST_P(ChatFormatConformance, AnswersInTextHaveNoConstraint) {
  ChatPrompt chat;
  chat.messages.push_back({.role = "user", .content = "What is this?"});
  EXPECT_EQ(backend_.chat->render(chat, {}).value().constraint, nullptr);
}

TEST_P(ChatFormatConformance, SaysWhichFieldHasAFormatThatItCannotKeep) {
  const OutputFormat format{OutputFormat::Kind::kJsonSchema, "no schema"};
  const auto constraint = backend_.chat->constrain(format);
  ASSERT_FALSE(constraint);
  EXPECT_EQ(constraint.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(constraint.error().param, "response_format");
}

}  // namespace
}  // namespace autoglm::engine
