#pragma once

#include "engine/backends/llama/library_log.h"
#include "engine/backends/llama/token_tree.h"

#include <common.h>
#include <llama-cpp.h>
#include <llama.h>

#include <cstddef>
#include <string>
#include <vector>

namespace autoglm::engine {

/// The tiny model's tokens without its weights: grammars need no more.
class TinyVocabulary {
 public:
  const TokenTree& tree() const { return tree_; }
  std::size_t size() const { return static_cast<std::size_t>(llama_vocab_n_tokens(tree_.vocab())); }
  /// Special tokens written in `text` are these tokens.
  std::vector<TokenId> tokens_of(const std::string& text) const {
    return common_tokenize(tree_.vocab(), text, false, true);
  }

 private:
  static llama_model_ptr load() {
    LibraryLog::listen();
    llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    return llama_model_ptr(llama_model_load_from_file(AUTOGLM_TINY_MODEL, params));
  }

  llama_model_ptr model_ = load();
  TokenTree tree_{llama_model_get_vocab(model_.get())};
};

}  // namespace autoglm::engine
