#pragma once

#include "engine/backends/llama/llama_model.h"
#include "engine/backends/vocabulary.h"

#include <string>
#include <vector>

namespace autoglm::engine {

/// The vocabulary of a GGUF file. The bytes of every token are read once, when it is made.
class LlamaVocabulary final : public Vocabulary {
 public:
  explicit LlamaVocabulary(LlamaModelPtr model);

  const VocabularyFacts& facts() const override { return facts_; }
  Result<std::vector<TokenId>> tokenize(std::string_view text, bool add_special,
                                        bool parse_special) const override;
  std::string_view piece(TokenId token) const override { return pieces_[static_cast<std::size_t>(token)]; }
  std::string_view written(TokenId token) const override {
    return llama_vocab_get_text(model_->vocab, token);
  }
  bool ends_generation(TokenId token) const override { return llama_vocab_is_eog(model_->vocab, token); }
  std::span<const TokenId> end_tokens() const override { return end_tokens_; }

 private:
  void read_pieces();

  LlamaModelPtr model_;
  VocabularyFacts facts_;
  std::vector<std::string> pieces_;
  std::vector<TokenId> end_tokens_;
};

}  // namespace autoglm::engine
