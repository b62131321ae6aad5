#include "engine/backends/llama/grammar_constraint.h"

#include "base/utf8.h"
#include "engine/backends/llama/library_log.h"
#include "engine/backends/llama/schema_check.h"

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

constexpr std::size_t kMostGrammarBytes = 1 << 20;  // its rules take twenty times as much

class GrammarConstraint final : public TokenConstraint {
 public:
  /// Without `tree` every token is looked at.
  GrammarConstraint(llama_sampler_ptr grammar, const TokenTree* tree, bool lazy)
      : grammar_(std::move(grammar)), tree_(tree), lazy_(lazy) {}

  std::unique_ptr<TokenConstraint> clone() const override {
    auto copy = std::make_unique<GrammarConstraint>(llama_sampler_ptr(llama_sampler_clone(grammar_.get())),
                                                    tree_, lazy_);
    copy->state_ = state_;
    return copy;
  }

  bool allows(TokenId token) const override {
    if (state_ == State::kLeft) return true;
    llama_token_data data{token, 1.0F, 0.0F};
    apply({&data, 1});
    return data.logit == 1.0F;
  }

  std::optional<TokenId> mask(std::span<float> logits) const override {
    if (state_ == State::kLeft) return 0;
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
      apply(level);
      next.clear();
      for (const llama_token_data& candidate : level) {
        if (candidate.logit != 1.0F) continue;
        kept.emplace_back(candidate.id, logits[static_cast<std::size_t>(candidate.id)]);
        if (tree_ != nullptr) look_at(next, tree_->below(candidate.id));
      }
      std::swap(level, next);
    }
    if (state_ == State::kBroken) kept.clear();  // at a later level
    std::ranges::fill(logits, -std::numeric_limits<float>::infinity());
    for (const auto& [token, logit] : kept) logits[static_cast<std::size_t>(token)] = logit;
    if (kept.empty()) return std::nullopt;
    return kept.front().first;
  }

  void accept(TokenId token) override {
    if (state_ != State::kKept) return;
    try {
      llama_sampler_accept(grammar_.get(), token);
    } catch (const std::exception&) {
      state_ = lazy_ ? State::kLeft : State::kBroken;
    }
  }

 private:
  /// The library throws when a grammar can go on in too many ways, and when a text leaves it; asked once more
  /// afterwards, it ends the process.
  enum class State : std::uint8_t {
    kKept,
    kLeft,  ///< what woke a lazy grammar goes on, in the same token, as it does not allow: no call, but text
    kBroken,  ///< nothing is allowed
  };

  /// Sets the logits of what is not allowed to minus infinity.
  void apply(std::span<llama_token_data> tokens) const {
    llama_token_data_array array{tokens.data(), tokens.size(), -1, false};
    try {
      if (state_ == State::kKept) llama_sampler_apply(grammar_.get(), &array);
    } catch (const std::exception&) {
      state_ = State::kBroken;
    }
    if (state_ == State::kKept) return;
    for (llama_token_data& token : tokens) token.logit = -std::numeric_limits<float>::infinity();
  }

  llama_sampler_ptr grammar_;
  const TokenTree* tree_;
  bool lazy_;
  mutable State state_ = State::kKept;
};

}  // namespace

Result<std::unique_ptr<TokenConstraint>> make_grammar_constraint(const TokenTree& tree,
                                                                 const GrammarSpec& spec) {
  const llama_vocab* vocab = tree.vocab();
  const LibraryLog log;
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
  if (!grammar) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("the grammar cannot be used: {}", excerpt(log.reason(), 200)));
  }
  try {
    // Grammars may name tokens, in angle brackets; these are allowed whatever their texts begin with.
    const bool by_text = spec.grammar.find('<') == std::string::npos;
    auto constraint =
        std::make_unique<GrammarConstraint>(std::move(grammar), by_text ? &tree : nullptr, spec.lazy);
    for (const llama_token token : common_tokenize(vocab, spec.prefill, false, true)) {
      if (!constraint->allows(token))
        return fail(
            ErrorCode::kInvalidArgument,
            fmt::format("the answer begins as its format does not allow: {}", excerpt(spec.prefill, 100)));
      constraint->accept(token);
    }
    return constraint;
  } catch (const std::exception& exception) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("the answer's beginning cannot be taken apart: {}", exception.what()));
  }
}

Result<GrammarSpec> grammar_of(const OutputFormat& format) {
  if (format.kind == OutputFormat::Kind::kGrammar) {
    if (format.definition.size() <= kMostGrammarBytes) return GrammarSpec{.grammar = format.definition};
    return fail(invalid_field("grammar", fmt::format("grammar is over {} bytes", kMostGrammarBytes)));
  }
  const std::string schema =
      format.kind == OutputFormat::Kind::kJsonObject ? R"({"type": "object"})" : format.definition;
  const auto refuse = [](std::string_view why) {
    return fail(invalid_field("response_format",
                              fmt::format("response_format has a schema that cannot be kept to: {}", why)));
  };
  if (auto checked = check_schema(schema); !checked) return refuse(checked.error().message);
  try {
    return GrammarSpec{.grammar = json_schema_to_grammar(common_json::parse(schema))};
  } catch (const std::exception& exception) {
    std::string_view why = exception.what();
    constexpr std::string_view kPlaced = "JSON schema error ";  // "at #/…" follows, as in ours
    if (const std::size_t at = why.find(kPlaced); at != std::string_view::npos)
      why.remove_prefix(at + kPlaced.size());
    return refuse(excerpt(why, 300));
  }
}

}  // namespace autoglm::engine
