#include "engine/backends/llama/grammar_constraint.h"

#include <common.h>
#include <json-schema-to-grammar.h>
#include <json.h>
#include <llama-cpp.h>
#include <llama.h>

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <limits>
#include <utility>

namespace autoglm::engine {

namespace {

class GrammarConstraint final : public TokenConstraint {
 public:
  /// Without `tree` every token is looked at.
  GrammarConstraint(llama_sampler_ptr grammar, const TokenTree* tree)
      : grammar_(std::move(grammar)), tree_(tree) {}

  std::unique_ptr<TokenConstraint> clone() const override {
    return std::make_unique<GrammarConstraint>(llama_sampler_ptr(llama_sampler_clone(grammar_.get())), tree_);
  }

  bool allows(TokenId token) const override {
    llama_token_data data{token, 1.0F, 0.0F};
    llama_token_data_array one{&data, 1, -1, false};
    llama_sampler_apply(grammar_.get(), &one);
    return data.logit == 1.0F;
  }

  void mask(std::span<float> logits) const override {
    // A token that is looked at costs 0.1 to 1 us, and a vocabulary has up to 150,000.
    thread_local std::vector<llama_token_data> level;
    thread_local std::vector<llama_token_data> next;
    thread_local std::vector<std::pair<llama_token, float>> kept;
    level.clear();
    kept.clear();
    const auto look_at = [](std::vector<llama_token_data>& list, std::span<const TokenId> tokens) {
      for (const TokenId token : tokens) list.push_back({token, 1.0F, 0.0F});
    };
    if (tree_ != nullptr) {
      look_at(level, tree_->roots());
    } else {
      for (std::size_t i = 0; i < logits.size(); ++i)
        level.push_back({static_cast<llama_token>(i), 1.0F, 0.0F});
    }
    while (!level.empty()) {
      llama_token_data_array candidates{level.data(), level.size(), -1, false};
      llama_sampler_apply(grammar_.get(), &candidates);
      next.clear();
      for (const llama_token_data& candidate : level) {
        if (candidate.logit != 1.0F) continue;
        kept.emplace_back(candidate.id, logits[static_cast<std::size_t>(candidate.id)]);
        if (tree_ != nullptr) look_at(next, tree_->below(candidate.id));
      }
      std::swap(level, next);
    }
    std::ranges::fill(logits, -std::numeric_limits<float>::infinity());
    for (const auto& [token, logit] : kept) logits[static_cast<std::size_t>(token)] = logit;
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
  const TokenTree* tree_;
};

}  // namespace

Result<std::unique_ptr<TokenConstraint>> make_grammar_constraint(const TokenTree& tree,
                                                                 const GrammarSpec& spec) {
  const llama_vocab* vocab = tree.vocab();
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
  // Grammars may name tokens, in angle brackets; these are allowed whatever their texts begin with.
  const bool by_text = spec.grammar.find('<') == std::string::npos;
  return std::make_unique<GrammarConstraint>(std::move(grammar), by_text ? &tree : nullptr);
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
