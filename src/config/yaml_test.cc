#include "config/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace autoglm::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// What parse_yaml says about `text`; empty: there is a tree and no mistake.
std::vector<std::string> mistakes(const std::string& text, const YamlLimits& limits = {}) {
  Diagnostics problems;
  const auto tree = parse_yaml("f.yaml", text, problems, limits);
  EXPECT_TRUE(tree || !problems.empty());
  std::vector<std::string> out;
  for (const Diagnostic& problem : problems) out.push_back(problem.to_string());
  return out;
}

TEST(Yaml, KnowsWhereEverythingStands) {
  Diagnostics problems;
  const Node root = parse_yaml("f.yaml", "a:\n  b: [x, 'y']\n  c:\n", problems).value();
  EXPECT_TRUE(problems.empty());
  const Node* y = find(root, "a.b[1]");
  ASSERT_NE(y, nullptr);
  EXPECT_EQ(y->text, "y");
  EXPECT_EQ(y->location.to_string(), "f.yaml:2:10");
  EXPECT_EQ(find(root, "a.c")->location.to_string(), "f.yaml:3:3");
  EXPECT_EQ(find(root, "a.d"), nullptr);
}

TEST(Yaml, TakesNothingForAnEmptyMapping) {
  for (const char* text : {"", "\n\n", "# a comment\n", "---\n", "~"}) {
    Diagnostics problems;
    EXPECT_EQ(parse_yaml("f.yaml", text, problems).value().kind, Node::Kind::kMapping) << text;
  }
}

TEST(Yaml, ReportsEveryDuplicateKeyAndGoesOn) {
  EXPECT_THAT(mistakes("a: 1\nb: { x: 1, x: 2 }\na: 2\n"),
              ElementsAre("f.yaml:2:12: b.x: duplicate key, first written in line 2; keep one",
                          "f.yaml:3:1: a: duplicate key, first written in line 1; keep one"));
}

TEST(Yaml, CopiesAliases) {
  Diagnostics problems;
  const Node root = parse_yaml("f.yaml", "a: &x { k: 1 }\nb: *x\nc: [*x, *x]\n", problems).value();
  EXPECT_EQ(find(root, "c[1].k")->text, "1");
}

TEST(Yaml, RefusesAnAliasBomb) {
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string name = "a" + std::to_string(i);
    bomb.append(name).append(": &").append(name).append(" [");
    for (int j = 0; j < 9; ++j) bomb.append(j == 0 ? "*a" : ",*a").append(std::to_string(i - 1));
    bomb += "]\n";
  }
  const auto found = mistakes(bomb);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_THAT(found[0], HasSubstr("more than 100000 values (aliases count each time)"));
}

TEST(Yaml, RefusesAnAliasOfItself) {
  EXPECT_THAT(mistakes("a: &x [*x]"), ElementsAre(HasSubstr("an alias inside the value that it stands for")));
}

TEST(Yaml, BoundsDepthAlsoThroughAliases) {
  EXPECT_THAT(mistakes(std::string(33, '[') + std::string(33, ']')),
              ElementsAre(HasSubstr("nested more than 32 levels deep")));
  EXPECT_EQ(mistakes(std::string(1 << 20, '[')).size(), 1U);
  std::string blocks;
  for (int i = 0; i < 700; ++i) blocks += std::string(static_cast<std::size_t>(i), ' ') + "a:\n";
  EXPECT_THAT(mistakes(blocks), ElementsAre(HasSubstr("nested more than 32 levels deep")));
  EXPECT_THAT(mistakes("a: &a [[[[x]]]]\nb: &b [[*a]]\nc: [[*b]]\n", {.depth = 8}),
              ElementsAre(HasSubstr("nested more than 8 levels deep")));
}

TEST(Yaml, BoundsBytesAndValues) {
  EXPECT_THAT(mistakes("a: " + std::string(1 << 20, 'x')),
              ElementsAre("f.yaml: more than 1048576 bytes; is this a configuration?"));
  std::string many;
  for (int i = 0; i < 60'000; ++i) many += "k" + std::to_string(i) + ": 1\n";
  EXPECT_THAT(mistakes(many), ElementsAre(HasSubstr("more than 100000 values")));
  EXPECT_TRUE(mistakes("a: " + std::string(1'000'000, 'x')).empty());
}

TEST(Yaml, RefusesBytesThatAreNoText) {
  EXPECT_THAT(mistakes("a: 1\nb: \"\xff\xfe\"\n"),
              ElementsAre("f.yaml:2:5: bytes that are not UTF-8; save the file as UTF-8"));
  EXPECT_THAT(mistakes(std::string("a: 1\0", 5)), ElementsAre("f.yaml:1:5: a control character; remove it"));
  EXPECT_THAT(mistakes("a: \x1b[31m"), ElementsAre("f.yaml:1:4: a control character; remove it"));
}

TEST(Yaml, NamesTabsForWhatTheyAre) {
  EXPECT_THAT(mistakes("a:\n\tb: 1\n"),
              ElementsAre(HasSubstr("a tab in the indentation; YAML wants spaces")));
}

TEST(Yaml, RefusesWhatNoConfigurationNeeds) {
  EXPECT_THAT(mistakes("a: 1\n---\nb: 1\n"), ElementsAre(HasSubstr("a second YAML document")));
  EXPECT_THAT(mistakes("a: !!python/object:os.system ls"), ElementsAre());
  EXPECT_THAT(mistakes("a: !exec ls"),
              ElementsAre(HasSubstr("the tag \"!exec\" means nothing here; remove it")));
  EXPECT_THAT(mistakes("? [a, b]\n: 1\n"), ElementsAre(HasSubstr("a key must be a name, not a list")));
  EXPECT_THAT(mistakes("~: 1\n"), ElementsAre(HasSubstr("a key must be a name, not nothing")));
}

TEST(Yaml, FindsTheQuoteThatIsNeverClosed) {
  EXPECT_THAT(mistakes("ä: \"é\"\nb: &x \"open\nc: 1\n"),
              ElementsAre("f.yaml:2:4: b: a quote that is never closed"));
  EXPECT_THAT(mistakes("a: 'it''s\nb: 1\n"), ElementsAre(HasSubstr("a quote that is never closed")));
  EXPECT_TRUE(mistakes("a: 'it''s'\nb: \"\\\"\"\nc: x'y\n\"d\": ''\n").empty());
}

TEST(Yaml, LocatesBrokenSyntax) {
  for (const char* text : {"a: [1, 2", "a: \"open\n", "a: 'open\nb: 1\n", "a: 'x", "a: b: c", "a: 1\n b: 2",
                           "*x", "a: *x", "@", "{", "- a\nb: 1", "a: \"\\q\"", "%YAML 9.9\n---\na: 1"}) {
    const auto found = mistakes(text);
    ASSERT_EQ(found.size(), 1U) << text;
    EXPECT_THAT(found[0], ::testing::MatchesRegex("f.yaml:[0-9]+:[0-9]+: .+")) << text;
  }
}

/// What find_cut says about a text that reads as YAML but may be cut short.
std::string cut(const std::string& text) {
  Diagnostics problems;
  const auto tree = parse_yaml("f.yaml", text, problems);
  EXPECT_TRUE(tree) << text;
  const auto found = find_cut("f.yaml", text, *tree);
  return found ? found->to_string() : "";
}

TEST(Yaml, FindsWhatIsNotTheWhole) {
  for (const char* text : {"", "\n \n", "# a comment\n", "---\n", "~", "{}"})
    EXPECT_EQ(cut(text), "f.yaml:1:1: the file is empty") << text;
  EXPECT_EQ(cut("a: 1\nb:"), "f.yaml:2:1: the file ends with \"b:\", before what belongs there");
  EXPECT_EQ(cut("a:\n  - b:  # soon\n\n# and\n"),
            "f.yaml:2:1: the file ends with \"- b:\", before what belongs there");
  EXPECT_EQ(cut("a:\n  - b: 1\n  -"), "f.yaml:3:1: the file ends with \"-\", before what belongs there");
}

TEST(Yaml, TakesForTheWholeWhatMayBe) {
  for (const char* text : {"a: 1", "a: 1\nb: null\n", "a: ~", "a: [b, c]\n", "a: {b: }\n", "a:\nb: 1\n",
                           "a: |\n  as follows:\n", "a: 'b:'", "{a: 1}", "[]"})
    EXPECT_EQ(cut(text), "") << text;
}

}  // namespace
}  // namespace autoglm::config
