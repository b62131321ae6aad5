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

/// A model's tokens without its weights, by default the tiny model's: grammars and templates need no more.
class TinyVocabulary {
 public:
  explicit TinyVocabulary(const std::string& path = AUTOGLM_TINY_MODEL) : model_(load(path)) {}

  const llama_model* model() const { return model_.get(); }
  const TokenTree& tree() const { return tree_; }
  std::size_t size() const { return static_cast<std::size_t>(llama_vocab_n_tokens(tree_.vocab())); }
  /// Tokenizes `text`; special tokens spelled in it become those tokens.
  std::vector<TokenId> tokens_of(const std::string& text) const {
    return common_tokenize(tree_.vocab(), text, false, true);
  }

 private:
  static llama_model_ptr load(const std::string& path) {
    LibraryLog::listen();
    llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    return llama_model_ptr(llama_model_load_from_file(path.c_str(), params));
  }

  llama_model_ptr model_;
  TokenTree tree_{llama_model_get_vocab(model_.get())};
};

}  // namespace autoglm::engine
