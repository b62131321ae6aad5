#include "gateway/protocol/openai/regex_grammar.h"

#include <gtest/gtest.h>

namespace autoglm::protocol::openai {
namespace {

TEST(RegexGrammar, SaysWhatPatternsSay) {
  struct Case {
    const char* pattern;
    const char* grammar;
  };
  const Case cases[] = {
      {"ab", R"("a" "b")"},
      {"^a$", R"("a")"},
      {"yes|no", R"("y" "e" "s" | "n" "o")"},
      {"(a|)b", R"(("a" | "") "b")"},
      {"(?:a)+(?P<x>b)*(?<y>c)?", R"(("a")+ ("b")* ("c")?)"},
      {"a{2}b{2,}c{,3}d{1,4}", R"("a"{2} "b"{2,} "c"{0,3} "d"{1,4})"},
      {"a+?b*?", R"("a"+ "b"*)"},
      {R"(\d\D\w\s)", R"([0-9] [^0-9] [A-Za-z0-9\x5F] [ \x09-\x0D])"},
      {"[a-f0-9_-]", R"([a-f0-9\x5F\x2D])"},
      {R"([^"\]\d])", R"([^\x22\x5D0-9])"},
      {"[]a]", R"([\x5Da])"},
      {".", R"([^\n])"},
      {R"(\.\n\x41\u4f60"<)", R"("\x2E" "\x0A" "A" "\U00004F60" "\x22" "\x3C")"},
      {"你", R"("\U00004F60")"},
  };
  for (const Case& c : cases) {
    const auto grammar = grammar_of_regex(c.pattern);
    ASSERT_TRUE(grammar) << c.pattern << ": " << grammar.error().message;
    EXPECT_EQ(*grammar, std::string("root ::= ") + c.grammar) << c.pattern;
  }
}

TEST(RegexGrammar, RefusesWhatNoGrammarHas) {
  for (const char* pattern :
       {"",         "(",   ")",    "a(?=b)",  "(?!a)b",      "(?<=a)b", "(?i)a",   R"(\bword\b)",
        R"((a)\1)", "a^b", "a$b",  "[a",      "[b-a]",       "*a",      "a**",     "a{",
        "a{x}",     "{2}", R"(\)", R"(\u12)", "[[:alpha:]]", "(?P<a",   "a{2}{3}", R"([\D])"}) {
    EXPECT_FALSE(grammar_of_regex(pattern)) << pattern;
  }
  EXPECT_FALSE(grammar_of_regex(std::string(100'000, '(')));
}

TEST(RegexGrammar, QuotesTexts) {
  EXPECT_EQ(grammar_of_text("a \"b\"\n<é"), R"("a \x22b\x22\x0A\x3Cé")");
  EXPECT_EQ(grammar_of_text(""), R"("")");
}

}  // namespace
}  // namespace autoglm::protocol::openai
