#include "engine/backends/llama/grammar_constraint.h"

#include <common.h>
#include <json-schema-to-grammar.h>
#include <json.h>
#include <llama-cpp.h>
#include <llama.h>

#include <fmt/format.h>

#include <exception>
#include <utility>

namespace autoglm::engine {

namespace {

class GrammarConstraint final : public TokenConstraint {
 public:
  explicit GrammarConstraint(llama_sampler_ptr grammar) : grammar_(std::move(grammar)) {}

  std::unique_ptr<TokenConstraint> clone() const override {
    return std::make_unique<GrammarConstraint>(llama_sampler_ptr(llama_sampler_clone(grammar_.get())));
  }

  bool allows(TokenId token) const override {
    llama_token_data data{token, 1.0F, 0.0F};
    llama_token_data_array one{&data, 1, -1, false};
    llama_sampler_apply(grammar_.get(), &one);
    return data.logit == 1.0F;
  }

  void mask(std::span<float> logits) const override {
    thread_local std::vector<llama_token_data> candidates;
    candidates.resize(logits.size());
    for (std::size_t i = 0; i < logits.size(); ++i)
      candidates[i] = {static_cast<llama_token>(i), logits[i], 0.0F};
    llama_token_data_array all{candidates.data(), candidates.size(), -1, false};
    llama_sampler_apply(grammar_.get(), &all);
    for (const llama_token_data& candidate : candidates)
      logits[static_cast<std::size_t>(candidate.id)] = candidate.logit;
  }

  void accept(TokenId token) override {
    // It throws at a token that it does not allow, which nobody chooses unless nothing at all is allowed.
    try {
      llama_sampler_accept(grammar_.get(), token);
    } catch (const std::exception&) {
    }
  }

 private:
  llama_sampler_ptr grammar_;
};

}  // namespace

Result<std::unique_ptr<TokenConstraint>> make_grammar_constraint(const llama_vocab* vocab,
                                                                 const GrammarSpec& spec) {
  llama_sampler_ptr grammar;
  if (spec.lazy) {
    std::vector<const char*> patterns;
    for (const std::string& pattern : spec.trigger_patterns) patterns.push_back(pattern.c_str());
    grammar.reset(llama_sampler_init_grammar_lazy_patterns(
        vocab, spec.grammar.c_str(), "root", patterns.data(), patterns.size(), spec.trigger_tokens.data(),
        spec.trigger_tokens.size()));
  } else {
    grammar.reset(llama_sampler_init_grammar(vocab, spec.grammar.c_str(), "root"));
  }
  if (!grammar)
    return fail(ErrorCode::kInvalidArgument,
                "the grammar cannot be parsed; it needs GBNF with a rule called root");
  try {
    for (const llama_token token : common_tokenize(vocab, spec.prefill, false, true)) {
      llama_sampler_accept(grammar.get(), token);
    }
  } catch (const std::exception& exception) {
    return fail(ErrorCode::kInternal,
                fmt::format("the template's beginning does not fit its grammar: {}", exception.what()));
  }
  return std::make_unique<GrammarConstraint>(std::move(grammar));
}

Result<GrammarSpec> grammar_of(const OutputFormat& format) {
  if (format.kind == OutputFormat::Kind::kGrammar) return GrammarSpec{.grammar = format.definition};
  const bool any = format.kind == OutputFormat::Kind::kJsonObject;
  try {
    const common_json schema = common_json::parse(any ? R"({"type": "object"})" : format.definition);
    return GrammarSpec{.grammar = json_schema_to_grammar(schema)};
  } catch (const std::exception& exception) {
    return fail(invalid_field(
        "response_format",
        fmt::format("response_format has a schema that cannot be kept to: {}", exception.what())));
  }
}

}  // namespace autoglm::engine
