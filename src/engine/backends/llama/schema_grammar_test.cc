// Most of this tests patch 0008 of llama.cpp (docs/adr/0025).

#include "engine/backends/llama/schema_grammar.h"

#include <llama-grammar.h>
#include <unicode.h>

#include <boost/json.hpp>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <random>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::engine {
namespace {

/// The grammar of a schema, asked whether it accepts whole texts.
class SchemaGrammar {
 public:
  explicit SchemaGrammar(const std::string& schema) {
    const auto spec = grammar_of({OutputFormat::Kind::kJsonSchema, schema});
    if (!spec) {
      refusal_ = spec.error().message;
      return;
    }
    text_ = spec->grammar;
    grammar_.reset(llama_grammar_init_impl(nullptr, text_.c_str(), "root", false, nullptr, 0, nullptr, 0));
    if (grammar_ == nullptr) refusal_ = "the grammar cannot be parsed: " + text_;
  }

  const std::string& refusal() const { return refusal_; }
  const std::string& text() const { return text_; }

  bool matches(std::string_view text) {
    if (grammar_ == nullptr) return false;
    llama_grammar_stacks& stacks = llama_grammar_get_stacks(grammar_.get());
    const llama_grammar_stacks beginning = stacks;
    for (std::size_t i = 0; i < text.size() && !stacks.empty();) {
      const utf8_parse_result point = common_parse_utf8_codepoint(text, i);
      llama_grammar_accept(grammar_.get(), point.codepoint);
      i += point.bytes_consumed;
    }
    const bool ended = std::ranges::any_of(stacks, [](const auto& stack) { return stack.empty(); });
    stacks = beginning;
    return ended;
  }

 private:
  struct Free {
    void operator()(llama_grammar* grammar) const { llama_grammar_free_impl(grammar); }
  };
  std::unique_ptr<llama_grammar, Free> grammar_;
  std::string text_;
  std::string refusal_;
};

__extension__ using Wide = __int128;
constexpr Wide kLowest = std::numeric_limits<std::int64_t>::min();
constexpr Wide kHighest = std::numeric_limits<std::int64_t>::max();

std::string decimal(Wide value) {
  std::string digits;
  for (Wide rest = value < 0 ? -value : value; digits.empty() || rest > 0; rest /= 10)
    digits.insert(digits.begin(), static_cast<char>('0' + static_cast<int>(rest % 10)));
  return (value < 0 ? "-" : "") + digits;
}

/// An integer; all magnitudes are equally likely.
std::int64_t any_integer(std::mt19937_64& random) {
  const auto bits = static_cast<std::int64_t>(random());
  return bits >> (random() % 64);
}

TEST(SchemaGrammar, AnIntegerIsWithinItsBoundsAndEachOneWithinIsAllowed) {
  std::mt19937_64 random(17);
  for (int round = 0; round < 5000; ++round) {
    const Wide low = round % 8 == 0 ? any_integer(random) : any_integer(random) % 3000;
    const Wide high = std::min<Wide>(
        kHighest, round % 8 == 0 ? any_integer(random) : low + static_cast<std::int64_t>(random() % 30));
    const bool has_low = random() % 12 != 0;
    const bool has_high = random() % 12 != 0 || !has_low;
    const bool low_out = random() % 3 == 0 && low > kLowest;
    const bool high_out = random() % 3 == 0 && high < kHighest;
    std::string schema = R"({"type":"integer")";
    if (has_low)
      schema += low_out ? fmt::format(R"(,"exclusiveMinimum":{})", decimal(low - 1))
                        : fmt::format(R"(,"minimum":{})", decimal(low));
    if (has_high)
      schema += high_out ? fmt::format(R"(,"exclusiveMaximum":{})", decimal(high + 1))
                         : fmt::format(R"(,"maximum":{})", decimal(high));
    schema += "}";
    SchemaGrammar grammar(schema);
    const Wide least = has_low ? low : kLowest;
    const Wide most = has_high ? high : kHighest;
    if (least > most) {
      EXPECT_NE(grammar.refusal().find("no number is within"), std::string::npos) << schema;
      continue;
    }
    ASSERT_EQ(grammar.refusal(), "") << schema;
    std::vector<Wide> values = {0, 9, 10, 99, 100, kHighest, kHighest + 1, kLowest, kLowest - 1};
    if (has_low && has_high && most - least < 30) {
      for (Wide value = least - 8; value <= most + 8; ++value) values.push_back(value);
    } else {
      for (const Wide bound : {least, most}) {
        for (const int away : {-100, -11, -10, -9, -2, -1, 0, 1, 2, 9, 10, 11, 100})
          values.push_back(bound + away);
        values.insert(values.end(), {bound * 10, bound / 10, bound / 10 * 10, -bound});
      }
      for (int i = 0; i < 10; ++i) values.push_back(any_integer(random));
      for (Wide power = 1; power < kHighest; power *= 1000)
        values.insert(values.end(), {power - 1, power, -power});
    }
    for (const Wide value : values) {
      ASSERT_EQ(grammar.matches(decimal(value)), least <= value && value <= most)
          << schema << " and " << decimal(value);
      if (value < 0) continue;
      ASSERT_FALSE(grammar.matches("0" + decimal(value))) << schema;
      ASSERT_FALSE(grammar.matches("-0" + decimal(value))) << schema;
    }
    for (const char* text : {"", "-", "-0", "+1", "1.0", "1e1", "--1", " 1"})
      ASSERT_FALSE(grammar.matches(text)) << schema << " and " << text;
  }
}

TEST(SchemaGrammar, BoundsOfIntegersComeInManyForms) {
  struct Case {
    const char* bounds;
    std::vector<const char*> inside;
    std::vector<const char*> outside;
  };
  for (const auto& [bounds, inside, outside] : {
           Case{R"("minimum":100)", {"100", "101", "1000", "9223372036854775807"}, {"12", "99", "0", "-100"}},
           Case{R"("maximum":-5)", {"-5", "-6", "-10", "-9223372036854775808"}, {"-06", "-4", "0", "5"}},
           Case{R"("minimum":1.5,"maximum":3.5)", {"2", "3"}, {"1", "4"}},
           Case{R"("exclusiveMinimum":1.5,"exclusiveMaximum":3.0)", {"2"}, {"1", "3"}},
           Case{R"("minimum":0,"exclusiveMinimum":5,"maximum":9)", {"6", "9"}, {"5", "0", "10"}},
           Case{R"("minimum":5,"exclusiveMinimum":true,"maximum":9,"exclusiveMaximum":false)",
                {"6", "9"},
                {"5"}},
           Case{R"("minimum":1e2,"maximum":1e2)", {"100"}, {"10", "99", "101", "1e2"}},
       }) {
    SchemaGrammar grammar(fmt::format(R"({{"type":"integer",{}}})", bounds));
    ASSERT_EQ(grammar.refusal(), "") << bounds;
    for (const char* text : inside) EXPECT_TRUE(grammar.matches(text)) << bounds << " and " << text;
    for (const char* text : outside) EXPECT_FALSE(grammar.matches(text)) << bounds << " and " << text;
  }
}

constexpr std::string_view kLetters = "ab\"\\1_ -.\n\x01/";

/// A random regular expression that means the same to std::regex.
std::string any_pattern(std::mt19937_64& random, int depth) {
  const auto literal = [&] {
    const char letter = kLetters[random() % kLetters.size()];
    if (letter == '\n') return std::string("\\n");
    if (letter == '\x01') return std::string("\\x01");
    return (std::string_view("\\.-").contains(letter) ? "\\" : "") + std::string(1, letter);
  };
  const auto atom = [&]() -> std::string {
    static constexpr const char* kClasses[] = {".",          R"(\d)",    R"(\w)",     R"(\s)",   R"(\D)",
                                               R"(\W)",      R"(\S)",    "[ab\"]",    "[^a]",    R"([^"\\])",
                                               R"([\d"\-])", R"([^\s])", R"([a-z1])", R"([\\/])"};
    switch (random() % (depth > 0 ? 5 : 3)) {
      case 0:
        return kClasses[random() % std::size(kClasses)];
      case 3:
        return "(" + any_pattern(random, depth - 1) + ")";
      case 4:
        return "(?:" + any_pattern(random, depth - 1) + "|" + any_pattern(random, depth - 1) + ")";
      default:
        return literal();
    }
  };
  static constexpr const char* kTimes[] = {"*", "+", "?", "{2}", "{1,3}", "{2,}", "+?", "{0,1}"};
  std::string out;
  for (std::size_t i = 1 + random() % 3; i > 0; --i) {
    if (random() % 12 == 0) {
      out += R"(\b)";
      continue;
    }
    out += atom();
    if (random() % 3 == 0) out += kTimes[random() % std::size(kTimes)];
  }
  return out;
}

TEST(SchemaGrammar, APatternIsFoundInEachTextThatIsAllowed) {
  std::mt19937_64 random(7);
  int refused = 0;
  std::size_t kept = 0;
  for (int round = 0; round < 500; ++round) {
    std::string pattern = any_pattern(random, 2);
    if (random() % 2 == 0) pattern = "^" + pattern;
    if (random() % 2 == 0) pattern += "$";
    if (random() % 10 == 0) pattern += "|^a$";
    const std::size_t least = random() % 3 == 0 ? random() % 3 : 0;
    const std::size_t most = random() % 3 == 0 ? least + random() % 4 : 100;
    boost::json::object schema{{"type", "string"}, {"pattern", pattern}};
    if (least > 0) schema["minLength"] = least;
    if (most < 100) schema["maxLength"] = most;
    const std::string said = boost::json::serialize(schema);
    SchemaGrammar grammar(said);
    if (!grammar.refusal().empty()) ++refused;
    const std::regex reference(pattern);
    for (int i = 0; i < 100; ++i) {
      std::string text;
      for (std::size_t n = random() % 7; n > 0; --n) text += kLetters[random() % kLetters.size()];
      const bool expected = std::regex_search(text, reference) && text.size() >= least && text.size() <= most;
      const std::string written = boost::json::serialize(boost::json::value(text));
      ASSERT_EQ(grammar.matches(written), expected) << said << " and " << written << "\n"
                                                    << grammar.refusal();
      kept += expected ? 1 : 0;
    }
  }
  EXPECT_GT(kept, 5000U);
  EXPECT_LT(refused, 100) << "few of them can be met by no text";
}

struct Meaning {
  const char* schema;
  std::vector<const char*> inside;
  std::vector<const char*> outside;
};

void expect_meanings(const std::vector<Meaning>& meanings) {
  for (const auto& [schema, inside, outside] : meanings) {
    SchemaGrammar grammar(schema);
    EXPECT_EQ(grammar.refusal(), "") << schema;
    for (const char* text : inside)
      EXPECT_TRUE(grammar.matches(text)) << schema << " and " << text << "\n" << grammar.text();
    for (const char* text : outside) EXPECT_FALSE(grammar.matches(text)) << schema << " and " << text;
  }
}

TEST(SchemaGrammar, PatternsMeanWhatJsonSchemaSays) {
  expect_meanings({
      {R"({"type":"string","pattern":"^a\"b$"})", {R"("a\"b")"}, {R"("a"b")", R"("a\\"b")"}},
      {R"({"type":"string","pattern":"^\\\\$"})", {R"("\\")"}, {R"("\")", R"("\\\\")"}},
      {R"({"type":"string","pattern":"^\\d{3}$"})", {R"("123")"}, {R"("12")", R"("12a")", R"("1234")"}},
      {R"({"type":"string","pattern":"b"})", {R"("b")", R"("abc")", R"("\"b")"}, {R"("")", R"("ac")"}},
      {R"({"type":"string","pattern":"^a|b$"})", {R"("ax")", R"("xb")"}, {R"("xa")", R"("bx")"}},
      {R"({"type":"string","pattern":"^[^\"]{2}$"})", {R"("é😀")", R"("\\\n")"}, {R"("a\"")", R"("a")"}},
      {R"({"type":"string","pattern":"^[\\u4e00-\\u9fff]+$"})", {R"("中文")"}, {R"("a")", R"("")"}},
      {R"({"type":"string","pattern":"^\\ud83d\\ude00$"})", {R"("😀")"}, {R"("😁")"}},
      {R"({"type":"string","pattern":"^{{(?<name>\\w+)}}$"})", {R"("{{a_1}}")"}, {R"("{{}}")", R"("{a}")"}},
      {R"({"type":"string","pattern":"^(?=.*\\d)(?!.*x)[a-z0-9]{3,}$"})",
       {R"("ab1")", R"("1abc")"},
       {R"("abc")", R"("x12")", R"("a1")"}},
      {R"({"type":"string","pattern":"^[a-z]*$","minLength":2,"maxLength":3})",
       {R"("ab")", R"("abc")"},
       {R"("a")", R"("abcd")", R"("AB")"}},
      {R"({"type":"string","pattern":"^2","format":"date"})",
       {R"("2024-02-30")"},
       {R"("1999-01-01")", R"("2")"}},
  });
}

TEST(SchemaGrammar, APatternThatCannotBeKeptToIsRefusedWithItsPlace) {
  struct Case {
    const char* pattern;
    const char* says;
  };
  for (const auto& [pattern, says] : {
           Case{R"(^(a)\\1$)", "a reference to a group"},
           Case{"^(?<=a)b$", "a group that begins with (? is supported as"},
           Case{"a(?=b)", "a group that begins with (? is supported as"},
           Case{"^(?=a)b|c", "only where all of the pattern follows it"},
           Case{R"(^\\p{L}+$)", "\\p is not supported"},
           Case{"^(a$", "a ( is not closed"},
           Case{"^a)$", "a ) closes nothing"},
           Case{"^[a$", "a [ is not closed"},
           Case{"^*$", "a place in the text cannot be repeated"},
           Case{"^(+a)$", "nothing to repeat"},
           Case{"^a**$", "nothing to repeat"},
           Case{"^a{3,1}$", "maximum is below its minimum"},
           Case{"^[z-a]$", "ends before it begins"},
           Case{R"(^\\ud83d$)", "half of a surrogate pair"},
           Case{"a^", "no text is as it says"},
           Case{"^(a|b)*a(a|b){16}$", "too many states"},
           Case{"((a{1000}){1000}){1000}", "too large with its repetitions"},
       }) {
    const SchemaGrammar grammar(
        fmt::format(R"({{"properties":{{"x":{{"type":"string","pattern":"{}"}}}}}})", pattern));
    EXPECT_NE(grammar.refusal().find("at #/properties/x: pattern "), std::string::npos)
        << pattern << grammar.refusal();
    EXPECT_NE(grammar.refusal().find(says), std::string::npos) << pattern << ": " << grammar.refusal();
  }
  const SchemaGrammar none(R"({"type":"string","pattern":"^a{3}$","maxLength":2})");
  EXPECT_NE(none.refusal().find("no text is as it says"), std::string::npos) << none.refusal();
}

TEST(SchemaGrammar, PatternsHaveBoundsTogether) {
  const auto refusal_of = [](const std::vector<std::string>& patterns) {
    std::string properties;
    for (const std::string& pattern : patterns)
      properties += fmt::format(R"({}"{}":{{"type":"string","pattern":"{}"}})", properties.empty() ? "" : ",",
                                properties.size(), pattern);
    return SchemaGrammar(fmt::format(R"({{"properties":{{{}}}}})", properties)).refusal();
  };
  EXPECT_NE(refusal_of({std::string(101, '(') + "a" + std::string(101, ')')}).find("nested too deeply"),
            std::string::npos);
  EXPECT_NE(refusal_of({"^[acegikmoqsuwyACEGIKMOQSUWY]{9000}$"}).find("too many ways"), std::string::npos);
  EXPECT_EQ(refusal_of({"^a{9000}$", "^b{9000}$", "^c{9000}$"}), "");
  EXPECT_NE(refusal_of({"^a{9000}$", "^b{9000}$", "^c{9000}$", "^d{9000}$"}).find("all patterns together"),
            std::string::npos);
  std::vector<std::string> slow;
  for (const char letter : std::string("cdefghi"))
    slow.push_back(fmt::format("^(a|{0})*a(a|{0}){{12}}$", letter));
  EXPECT_EQ(refusal_of({slow.front()}), "");
  EXPECT_NE(refusal_of(slow).find("takes too long to follow"), std::string::npos) << refusal_of(slow);
}

TEST(SchemaGrammar, ReferencesAreFoundAsPointersAreWritten) {
  const std::string definitions =
      R"("$defs":{"a/b":{"const":1},"a~b":{"const":2},"a b":{"const":3},"a-b":{"const":4},"":{"const":5},"~1":{"const":6},"é":{"const":7},"all":{"prefixItems":[{"const":8},{"const":9}]}})";
  struct Case {
    const char* reference;
    int value;
  };
  for (const auto& [reference, value] :
       {Case{"#/$defs/a~1b", 1}, Case{"#/$defs/a~0b", 2}, Case{"#/$defs/a%20b", 3}, Case{"#/$defs/a b", 3},
        Case{"#/%24defs/a-b", 4}, Case{"#/$defs/", 5}, Case{"#/$defs/~01", 6}, Case{"#/$defs/%C3%a9", 7},
        Case{"#/$defs/é", 7}, Case{"#/$defs/all/prefixItems/1", 9}}) {
    SchemaGrammar grammar(fmt::format(R"({{"$ref":"{}",{}}})", reference, definitions));
    for (int other = 1; other <= 9; ++other)
      EXPECT_EQ(grammar.matches(std::to_string(other)), other == value) << reference << grammar.refusal();
  }
  const std::string both = fmt::format(
      R"({{"prefixItems":[{{"$ref":"#/$defs/a b"}},{{"$ref":"#/$defs/a-b"}},{{"$ref":"#/$defs/a~1b"}}],{}}})",
      definitions);
  expect_meanings({
      {both.c_str(), {"[3,4,1]"}, {"[3,3,3]", "[4,4,1]"}},
      {R"({"type":"object","properties":{"next":{"$ref":"#"}},"required":["next"]})",
       {},
       {R"({"next":1})", "{}"}},
      {R"({"type":"object","properties":{"next":{"anyOf":[{"$ref":"#"},{"type":"null"}]}},"required":["next"]})",
       {R"({"next":null})", R"({"next":{"next":null}})"},
       {R"({"next":1})"}},
      {R"({"type":"object","properties":{"ref-defs-n":{"type":"null"},"v":{"$ref":"#/$defs/n"}},"required":["ref-defs-n","v"],"$defs":{"n":{"const":1}}})",
       {R"({"ref-defs-n":null,"v":1})"},
       {R"({"ref-defs-n":null,"v":null})"}},
  });
}

TEST(SchemaGrammar, SchemasAreBooleansToo) {
  expect_meanings({
      {"true", {"1", R"("a")", "[{}]"}, {"x"}},
      {R"({"type":"array","items":false})", {"[]"}, {"[1]"}},
      {R"({"type":"array","items":true,"minItems":1})", {"[1]", R"([{},"a"])"}, {"[]"}},
      {R"({"prefixItems":[{"type":"null"},true],"items":false})",
       {"[null,1]"},
       {"[null]", "[null,1,1]", "[1,1]"}},
      {R"({"prefixItems":[{"type":"null"}],"items":{"type":"boolean"}})",
       {"[null]", "[null,true,false]"},
       {"[null,null]", "[]"}},
      {R"({"prefixItems":[{"type":"null"}],"items":{"type":"boolean"},"minItems":2,"maxItems":3})",
       {"[null,true]", "[null,true,true]"},
       {"[null]", "[null,true,true,true]"}},
      {R"({"items":[{"type":"null"}],"additionalItems":{"type":"boolean"}})",
       {"[null,true]"},
       {"[null,null]"}},
      {R"({"prefixItems":[{"type":"null"},{"type":"null"}],"maxItems":1})",
       {"[null]"},
       {"[null,null]", "[]"}},
      {R"({"anyOf":[false,{"type":"null"}]})", {"null"}, {"1", ""}},
      {R"({"properties":{"a":true,"b":false},"required":["a"]})", {R"({"a":1})"}, {R"({"a":1,"b":1})", "{}"}},
      {R"({"properties":{"b":false},"additionalProperties":true})", {"{}", R"({"c":1})"}, {R"({"b":1})"}},
  });
}

TEST(SchemaGrammar, PropertiesMayHaveAnyName) {
  expect_meanings({
      {R"({"properties":{"":{"type":"null"}},"required":[""]})", {R"({"":null})"}, {"null", "{}"}},
      {R"({"properties":{"":{"type":"null"}},"required":[""],"additionalProperties":true})",
       {R"({"":null})", R"({"":null,"a":1})"},
       {R"({"":null,"":1})"}},
      {R"({"properties":{"*":{"type":"null"}},"additionalProperties":{"type":"boolean"}})",
       {R"({"*":null})", R"({"*":null,"a":true,"b":true})", R"({"a":true})"},
       {R"({"*":true})", R"({"a":null})"}},
      {R"({"properties":{"a\"b":{"type":"null"},"]^-\\":{"type":"null"},"\n":{"type":"null"}},"additionalProperties":{"type":"boolean"}})",
       {R"({"a\"b":null,"]^-\\":null,"\n":null,"a":true,"]":true,"\\":true,"a\"":true})"},
       {R"({"a\"b":true})", R"({"]^-\\":true})", R"({"\n":true})", R"({"\":true})", "{\"\n\":true}"}},
      {R"({"properties":{"text-0-0":{"const":1},"s":{"type":"string","pattern":"^a$"}},"required":["text-0-0","s"]})",
       {R"({"text-0-0":1,"s":"a"})"},
       {R"({"text-0-0":"a","s":"a"})", R"({"text-0-0":1,"s":1})"}},
  });
}

}  // namespace
}  // namespace autoglm::engine
