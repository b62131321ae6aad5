#include "base/utf8.h"

#include "base/json_string.h"

#include <gtest/gtest.h>

namespace autoglm {
namespace {

std::string valid(std::string_view bytes) {
  std::string out;
  append_valid_utf8(out, bytes);
  return out;
}

TEST(Utf8, KeepsWhatIsValid) { EXPECT_EQ(valid("a\u00e9\u4f60\U0001F600"), "a\u00e9\u4f60\U0001F600"); }

TEST(Utf8, ReplacesWhatIsNot) {
  EXPECT_EQ(valid("a\xff"
                  "b"),
            "a\uFFFD"
            "b");
  EXPECT_EQ(valid("\xed\xa0\x80"), "\uFFFD\uFFFD\uFFFD");       // a surrogate
  EXPECT_EQ(valid("\xc0\xaf"), "\uFFFD\uFFFD");                 // overlong
  EXPECT_EQ(valid("\xe4\xbd"), "\uFFFD");                       // cut off
  EXPECT_EQ(valid("\xf4\x90\x80\x80").substr(0, 3), "\uFFFD");  // beyond U+10FFFF
}

TEST(Utf8, LeavesATerminalNothingToObey) {
  std::string out;
  append_printable(out, "a\x1b[2J\x07\x7f\u009b31m\tb\n\xff\u4f60");
  EXPECT_EQ(out, "a [2J   31m b \uFFFD\u4f60");
  out.clear();
  append_printable(out, "a\tb\nc\r", "\t\n");
  EXPECT_EQ(out, "a\tb\nc ");
}

TEST(Utf8, TakesWholeCharactersFromABytewiseStream) {
  const std::string text = "x\u4f60\U0001F600y";
  std::string pending;
  std::string out;
  for (const char byte : text) {
    pending += byte;
    take_complete_utf8(pending, out);
    EXPECT_EQ(valid(out), out);  // never half a character
  }
  EXPECT_EQ(out, text);
  EXPECT_TRUE(pending.empty());
}

TEST(AppendJsonString, EscapesWhatMustBeEscaped) {
  std::string out;
  append_json_string(out, "a\"b\\c\n\x01\u00e9\u4f60");
  EXPECT_EQ(out, "\"a\\\"b\\\\c\\n\\u0001\u00e9\u4f60\"");
}

TEST(AppendJsonString, WritesLongTextWhole) {
  const std::string text(10'000, 'x');
  std::string out;
  append_json_string(out, text);
  EXPECT_EQ(out, "\"" + text + "\"");
}

TEST(Utf8, AnExcerptIsWholeCharactersAndSaysThatThereIsMore) {
  EXPECT_EQ(excerpt("short", 5), "short");
  EXPECT_EQ(excerpt("shorter", 5), "short…");
  EXPECT_EQ(excerpt("a你好", 4), "a你…");
  EXPECT_EQ(excerpt("a你好", 5), "a你…") << "not inside a character";
  EXPECT_EQ(excerpt("\xff\xfe", 9), "\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(excerpt("", 3), "");
}

}  // namespace
}  // namespace autoglm
