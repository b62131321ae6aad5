#include "app/chat/message_composer.h"

#include <gtest/gtest.h>

#include <initializer_list>

namespace autoglm::app {
namespace {

/// The message that the last of these lines ends; the others must not.
std::optional<std::string> composed(std::initializer_list<std::string_view> lines) {
  MessageComposer composer;
  std::optional<std::string> message;
  for (const std::string_view line : lines) {
    EXPECT_FALSE(message) << "ended before " << line;
    message = composer.add(line);
    EXPECT_EQ(composer.open(), !message);
  }
  return message;
}

TEST(MessageComposer, TakesALineAsItIs) {
  EXPECT_EQ(composed({"Hello"}), "Hello");
  EXPECT_EQ(composed({""}), "");
  EXPECT_EQ(composed({"say \"\"\" please"}), "say \"\"\" please");
}

TEST(MessageComposer, GoesOnBehindABackslash) {
  EXPECT_EQ(composed({"one\\", "two\\", "three"}), "one\ntwo\nthree");
  EXPECT_EQ(composed({"\\", "two"}), "\ntwo");
  EXPECT_EQ(composed({R"(a\\)"}), R"(a\\)");
  EXPECT_EQ(composed({R"(a\\\)", "b"}), "a\\\\\nb");
}

TEST(MessageComposer, GoesOnBetweenQuotes) {
  EXPECT_EQ(composed({R"(""")", "one", "", "two\\", R"(""")"}), "one\n\ntwo\\");
  EXPECT_EQ(composed({R"(  """one)", R"(two"""  )"}), "one\ntwo");
  EXPECT_EQ(composed({R"("""one""")"}), "one");
  EXPECT_EQ(composed({R"(""")", R"(""")"}), "");
}

TEST(MessageComposer, TakesPastedLinesTogether) {
  EXPECT_EQ(composed({"one\ntwo\n\nthree"}), "one\ntwo\n\nthree");
  EXPECT_EQ(composed({"one\ntwo\\", "three"}), "one\ntwo\nthree");
}

TEST(MessageComposer, CanBeGivenUp) {
  MessageComposer composer;
  composer.add("one\\");
  composer.clear();
  EXPECT_FALSE(composer.open());
  EXPECT_EQ(composer.add("two"), "two");
  composer.add(R"("""one)");
  composer.clear();
  EXPECT_EQ(composer.add("two"), "two");
}

}  // namespace
}  // namespace autoglm::app
