#pragma once

#include "inference/request.h"

#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

struct llama_vocab;

namespace autoglm::engine {

/// A vocabulary's tokens as a forest: a token's parent is the longest other token that its text begins with.
/// A grammar that refuses a token's text refuses all its descendants, so most tokens are never tested. Built
/// on first use. Thread-safe; the vocabulary must outlive it.
class TokenTree {
 public:
  explicit TokenTree(const llama_vocab* vocab) : vocab_(vocab) {}

  const llama_vocab* vocab() const { return vocab_; }
  /// The tokens without a parent.
  std::span<const TokenId> roots() const { return below(-1); }
  /// The children of `token`.
  std::span<const TokenId> below(TokenId token) const;

 private:
  void build() const;

  const llama_vocab* vocab_;
  mutable std::once_flag built_;
  mutable std::vector<TokenId> tokens_;        // sorted by parent
  mutable std::vector<std::uint32_t> begins_;  // index in tokens_ of the first child of token - 1
};

}  // namespace autoglm::engine
