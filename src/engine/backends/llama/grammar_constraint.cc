#include "engine/backends/llama/grammar_constraint.h"

#include "base/utf8.h"
#include "engine/backends/llama/library_log.h"

#include <common.h>
#include <llama-cpp.h>
#include <llama-grammar.h>
#include <llama.h>

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <iterator>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

namespace autoglm::engine {

namespace {

class GrammarConstraint final : public TokenConstraint {
 public:
  /// Without `tree` every token is tested.
  GrammarConstraint(llama_sampler_ptr grammar, const TokenTree* tree, bool lazy, std::size_t bytes)
      : grammar_(std::move(grammar)), tree_(tree), lazy_(lazy), bytes_(bytes) {}

  std::unique_ptr<TokenConstraint> clone() const override {
    auto copy = std::make_unique<GrammarConstraint>(llama_sampler_ptr(llama_sampler_clone(grammar_.get())),
                                                    tree_, lazy_, bytes_);
    copy->state_ = state_;
    return copy;
  }
  std::size_t bytes() const override { return bytes_; }

  bool allows(TokenId token) const override {
    if (state_ == State::kLeft) return true;
    llama_token_data data{token, 1.0F, 0.0F};
    apply({&data, 1});
    return data.logit == 1.0F;
  }

  std::optional<TokenId> mask(std::span<float> logits) const override {
    if (state_ == State::kLeft) return 0;
    // Testing a token costs 0.1 to 1 us, and a vocabulary has up to 150,000 tokens.
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
    if (state_ == State::kBroken) kept.clear();  // it broke at a later level
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
  /// llama.cpp throws when a grammar has too many ways to continue, and when a text leaves the grammar; a
  /// further call after that would end the process.
  enum class State : std::uint8_t {
    kKept,
    kLeft,    ///< the token that woke a lazy grammar goes on in a way it forbids: the answer is text
    kBroken,  ///< nothing is allowed
  };

  /// Sets the logits of forbidden tokens to minus infinity.
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
  std::size_t bytes_;
  mutable State state_ = State::kKept;
};

/// The memory of a constraint with `grammar`, which must be parseable. The text's length says little, since
/// repetitions are expanded.
std::size_t bytes_of(const std::string& grammar) {
  llama_grammar_parser parser;
  std::size_t bytes = grammar.size() + 4096;
  if (!parser.parse(grammar.c_str())) return bytes;
  for (const llama_grammar_rule& rule : parser.rules)
    bytes += sizeof(rule) + rule.size() * sizeof(llama_grammar_element);
  return bytes;
}

/// For a number that is too large, llama.cpp reports only the name of the function that read it.
std::string in_words(std::string why) {
  for (const std::string_view reader : {"stoull", "stoul", "stoll", "stol", "stoi"}) {
    const std::size_t at = why.find(reader);
    const std::size_t end = at + reader.size();
    if (at == std::string::npos || (end < why.size() && why[end] != ';')) continue;
    if (at == 0 || why[at - 1] == ' ') why.replace(at, reader.size(), "a number is too large");
  }
  return why;
}

/// Tokens whose texts together spell `text`, taking the longest that fits each time; empty if there are none.
std::vector<TokenId> longest_tokens(const TokenTree& tree, std::string_view text) {
  std::vector<TokenId> tokens;
  while (!text.empty()) {
    std::optional<TokenId> longest;
    std::size_t length = 0;
    for (auto level = tree.roots(); !level.empty();) {
      const auto fits = std::ranges::find_if(level, [&](TokenId token) {
        if (llama_vocab_is_control(tree.vocab(), token) || llama_vocab_is_eog(tree.vocab(), token))
          return false;
        const std::string piece = common_token_to_piece(tree.vocab(), token, true);
        if (piece.empty() || !text.starts_with(piece)) return false;
        length = piece.size();
        return true;
      });
      if (fits == level.end()) break;
      longest = *fits;
      level = tree.below(*fits);
    }
    if (!longest) return {};
    tokens.push_back(*longest);
    text.remove_prefix(length);
  }
  return tokens;
}

/// The tokens of a prompt's end, spelled as the grammar reads them: some vocabularies put a space before a
/// text at its beginning or after a special token, and the grammar has no such space.
std::vector<TokenId> tokens_spelling(const TokenTree& tree, std::string_view text) {
  std::vector<TokenId> spelling;
  for (const TokenId token : common_tokenize(tree.vocab(), std::string(text), false, true)) {
    std::string piece = common_token_to_piece(tree.vocab(), token, true);
    if (!text.starts_with(piece) && piece.starts_with(' ') && text.starts_with(piece.substr(1))) {
      piece.erase(0, 1);
      std::ranges::copy(longest_tokens(tree, piece), std::back_inserter(spelling));
    } else if (!text.starts_with(piece)) {
      // SentencePiece uses "▁" for spaces, and reads a "▁" in a text as a space.
      std::ranges::copy(longest_tokens(tree, text), std::back_inserter(spelling));
      return spelling;
    } else {
      spelling.push_back(token);
    }
    text.remove_prefix(std::min(piece.size(), text.size()));
  }
  return spelling;
}

}  // namespace

Result<std::unique_ptr<TokenConstraint>> make_grammar_constraint(const TokenTree& tree,
                                                                 const GrammarSpec& spec) {
  const llama_vocab* vocab = tree.vocab();
  // llama.cpp would use only the part before it, and for an empty part no grammar at all.
  if (spec.grammar.find('\0') != std::string::npos)
    return fail(ErrorCode::kInvalidArgument, "the grammar cannot be used: it contains a NUL character");
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
                fmt::format("the grammar cannot be used: {}", excerpt(in_words(log.reason()), 200)));
  }
  try {
    // Grammars may name tokens in angle brackets; these are allowed whatever their texts begin with.
    const bool by_text = spec.grammar.find('<') == std::string::npos;
    auto constraint = std::make_unique<GrammarConstraint>(std::move(grammar), by_text ? &tree : nullptr,
                                                          spec.lazy, bytes_of(spec.grammar));
    for (const TokenId token : tokens_spelling(tree, spec.prefill)) {
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

}  // namespace autoglm::engine
