#include "engine/backends/llama/grammar_constraint.h"

#include "engine/backends/llama/llama_backend.h"
#include "engine/backends/llama/testing/tiny_vocabulary.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace autoglm::engine {
namespace {

Backend make_llama() {
  const LlamaOptions options{.path = AUTOGLM_TINY_MODEL,
                             .context = 256,
                             .cache_cells = 256,
                             .max_sequences = 8,
                             .max_batch = 64,
                             .threads = 1};
  return load_llama_backend(options, [](double) { return true; }).value();
}

TEST(GrammarConstraint, AMaskLeavesJustWhatIsAllowedTokenByToken) {
  const auto backend = make_llama();
  const std::string schema = R"({"type": "object", "properties": {"né": {"type": "string", "maxLength": 5},
      "number": {"type": "number"}}, "required": ["né", "number"]})";
  const auto vocabulary = static_cast<TokenId>(backend.vocabulary->facts().size);
  for (const OutputFormat& format : {OutputFormat{OutputFormat::Kind::kJsonSchema, schema},
                                     OutputFormat{OutputFormat::Kind::kGrammar, "root ::= <[70]> | [^<]*"}}) {
    const auto constraint = backend.chat->constrain(format).value();
    const bool json = format.kind == OutputFormat::Kind::kJsonSchema;
    const auto answer =
        backend.vocabulary->tokenize(json ? R"({"né": "aé", "number": 10.5})" : "any text", false, false);
    for (std::size_t done = 0; done <= answer->size(); ++done) {
      std::vector<float> logits(static_cast<std::size_t>(vocabulary), 2.0F);
      constraint->mask(logits);
      for (TokenId token = 0; token < vocabulary; ++token) {
        ASSERT_EQ(logits[static_cast<std::size_t>(token)] == 2.0F, constraint->allows(token))
            << backend.vocabulary->piece(token) << " behind " << done << " tokens";
      }
      if (done < answer->size()) constraint->accept((*answer)[done]);
    }
  }
}

/// Grammars come from clients. Before patch 0005, most of these ended the process, or took up a thread or
/// gigabytes.
TEST(GrammarConstraint, WhatWouldNeverEndIsRefused) {
  const auto backend = make_llama();
  const auto repeat = [](std::string_view what, int times) {
    std::string out;
    for (int i = 0; i < times; ++i) out += what;
    return out;
  };
  const auto rules = [](int count, const char* rule, const char* last) {
    std::string out = "root ::= r0\n";
    for (int i = 0; i < count; ++i) out += fmt::format(fmt::runtime(rule), i, i + 1) + "\n";
    return out + fmt::format("r{} ::= {}\n", count, last);
  };
  struct Case {
    std::string grammar;
    const char* says;
  };
  const Case cases[] = {
      {R"(root ::= "a"{5,1})", "maximum is below its minimum"},
      {R"(root ::= "a" [z-a])", "ends before it begins"},
      {"root ::= " + repeat("(", 300'000), "nested too deeply"},
      {"root ::= \"" + repeat("a", 400'000) + "\"{2000}", "too many elements"},
      {"root ::= " + repeat("\"a\"{2000} ", 50'000), "too many elements"},
      {rules(30'000, "r{} ::= r{}", "\"a\""), "left recursion"},
      {rules(30, "r{0} ::= r{1} r{1}", "\"a\"?"), "too many ways"},
      {"root ::= e root \"a\" | \"b\"\ne ::= f f\nf ::= \"x\"?", "too many ways"},
      {rules(3000, "r{0} ::= r{1} | \"b{0}\"", "\"a\""), "too many ways"},
      {"a ::= [a]", "does not contain a 'root'"},
      {R"(root ::= "a"{99999999999999999999})", "a number is too large"},
      {R"(root ::= "a"{1,99999999999999999999})", "a number is too large"},
      {"root ::= <[99999999999999999999]>", "a number is too large"},
      {std::string(1, '\0'), "contains a NUL"},
      {std::string("root ::= \"a\"\0 | \"b\"", 19), "contains a NUL"},
  };
  for (const auto& [grammar, says] : cases) {
    const auto made = backend.chat->constrain({OutputFormat::Kind::kGrammar, grammar});
    ASSERT_FALSE(made) << grammar.substr(0, 80);
    EXPECT_EQ(made.error().param, "grammar");
    EXPECT_NE(made.error().message.find(says), std::string::npos) << made.error().message;
  }
  // The search for left recursion revisited known rules, twice as often with every rule.
  EXPECT_TRUE(
      backend.chat->constrain({OutputFormat::Kind::kGrammar, rules(60, "r{0} ::= r{1} | r{1}", "\"a\"")}));
}

TEST(GrammarConstraint, ADeadEndAllowsNothingAndStaysOne) {
  const auto backend = make_llama();
  const std::vector<TokenId> a = backend.vocabulary->tokenize("a", false, false).value();
  ASSERT_EQ(a.size(), 1U);
  // A token that the vocabulary does not have; and a grammar with too many ways to continue after a letter.
  std::string wide = R"(root ::= "a" ("b")";
  for (int i = 0; i < 5000; ++i) wide += fmt::format(R"( | "b{}")", i);
  wide += ")";
  for (const std::string& grammar : {std::string("root ::= [a] <[999999]>"), wide}) {
    auto constraint = backend.chat->constrain({OutputFormat::Kind::kGrammar, grammar}).value();
    EXPECT_EQ(constraint->allows(a[0]), grammar != wide);
    constraint->accept(a[0]);
    for (int again = 0; again < 2; ++again) {
      std::vector<float> logits(backend.vocabulary->facts().size, 1.0F);
      EXPECT_FALSE(constraint->mask(logits)) << grammar.substr(0, 40);
      EXPECT_EQ(std::ranges::count(logits, 1.0F), 0);
      EXPECT_FALSE(constraint->allows(a[0]));
      constraint = constraint->clone();
    }
  }
}

TEST(GrammarConstraint, SaysWhereASchemaIsNone) {
  const auto made = make_llama().chat->constrain(
      {OutputFormat::Kind::kJsonSchema, R"({"properties": {"a": {"enum": []}}})"});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().message,
            "response_format has a schema that cannot be kept to: at #/properties/a: enum must be a "
            "non-empty array");
}

TEST(GrammarConstraint, SaysThatANumberOfAPatternIsTooLarge) {
  const auto made = make_llama().chat->constrain(
      {OutputFormat::Kind::kJsonSchema, R"({"type": "string", "pattern": "^a{99999999999}$"})"});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().message.find("stoi"), std::string::npos) << made.error().message;
}

// Grammars that only templates make.

TEST(TemplateGrammar, KnowsWhatThePromptEndsWith) {
  const TinyVocabulary tiny;
  const std::string grammar = R"(root ::= "the" " water")";
  const auto rest = make_grammar_constraint(tiny.tree(), {.grammar = grammar, .prefill = "the"}).value();
  EXPECT_TRUE(rest->allows(tiny.tokens_of(" water")[0]));
  EXPECT_FALSE(rest->allows(tiny.tokens_of("the")[0]));
  // llama.cpp ends the process at an end token that comes too early.
  for (const char* wrong : {"<|im_end|>", "a river"}) {
    const auto made = make_grammar_constraint(tiny.tree(), {.grammar = grammar, .prefill = wrong});
    ASSERT_FALSE(made) << wrong;
    EXPECT_NE(made.error().message.find(wrong), std::string::npos) << made.error().message;
  }
}

TEST(TemplateGrammar, WhatOnlyLookedLikeACallIsText) {
  const TinyVocabulary tiny;
  const auto water = tiny.tokens_of(" water");
  ASSERT_EQ(water.size(), 1U);
  const auto woken_by = [&](const char* trigger) {
    auto constraint =
        make_grammar_constraint(
            tiny.tree(), {.grammar = R"(root ::= " wa" "ve")", .lazy = true, .trigger_patterns = {trigger}})
            .value();
    EXPECT_TRUE(constraint->allows(tiny.tokens_of("the")[0])) << "it sleeps";
    constraint->accept(water[0]);
    return constraint->clone();
  };
  const auto asleep = woken_by("river");
  const auto contradicted = woken_by(" wa");  // the token goes on with "ter"
  for (const auto* constraint : {asleep.get(), contradicted.get()}) {
    std::vector<float> logits(tiny.size(), 1.0F);
    EXPECT_TRUE(constraint->allows(tiny.tokens_of("the")[0]));
    EXPECT_TRUE(constraint->mask(logits));
    EXPECT_EQ(logits[static_cast<std::size_t>(water[0])], 1.0F);
  }
  contradicted->accept(tiny.tokens_of("the")[0]);
}

}  // namespace
}  // namespace autoglm::engine
