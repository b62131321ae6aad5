#include "engine/backends/llama/llama_vocabulary.h"

#include "engine/backends/llama/tokenizer.h"

#include <algorithm>
#include <array>
#include <utility>

namespace autoglm::engine {

LlamaVocabulary::LlamaVocabulary(LlamaModelPtr model) : model_(std::move(model)) {
  const llama_vocab* vocab = model_->vocab;
  facts_.size = static_cast<std::uint32_t>(llama_vocab_n_tokens(vocab));
  facts_.adds_bos = llama_vocab_get_add_bos(vocab);
  const InfillTokens infill{.prefix = llama_vocab_fim_pre(vocab),
                            .suffix = llama_vocab_fim_suf(vocab),
                            .middle = llama_vocab_fim_mid(vocab)};
  if (std::min({infill.prefix, infill.suffix, infill.middle}) >= 0) facts_.infill = infill;
  read_pieces();
}

void LlamaVocabulary::read_pieces() {
  const llama_vocab* vocab = model_->vocab;
  pieces_.resize(facts_.size);
  std::array<char, 256> buffer;
  for (std::uint32_t token = 0; token < facts_.size; ++token) {
    const auto id = static_cast<llama_token>(token);
    if (llama_vocab_is_eog(vocab, id)) end_tokens_.push_back(id);
    const std::size_t written = std::string_view(llama_vocab_get_text(vocab, id)).size();  // of special
                                                                                           // tokens
    const std::int32_t size = llama_token_to_piece(vocab, id, buffer.data(), buffer.size(), 0, false);
    if (size >= 0) {
      pieces_[token].assign(buffer.data(), static_cast<std::size_t>(size));
    } else {
      pieces_[token].resize(static_cast<std::size_t>(-size));
      llama_token_to_piece(vocab, id, pieces_[token].data(), -size, 0, false);
    }
    facts_.longest_token =
        std::max(facts_.longest_token, static_cast<std::uint32_t>(std::max(written, pieces_[token].size())));
  }
}

Result<std::vector<TokenId>> LlamaVocabulary::tokenize(std::string_view text, bool add_special,
                                                       bool parse_special) const {
  return engine::tokenize(model_->vocab, text, add_special, parse_special);
}

}  // namespace autoglm::engine
