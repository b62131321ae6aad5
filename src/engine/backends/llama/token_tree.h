#pragma once

#include "inference/request.h"

#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

struct llama_vocab;

namespace autoglm::engine {

/// A vocabulary's tokens as a forest: above a token stands the longest other one that its text begins with.
/// Where a grammar refuses a token's text it refuses all that stand below, so most are never looked at.
/// Made when first asked for. Thread-safe; the vocabulary must outlive it.
class TokenTree {
 public:
  explicit TokenTree(const llama_vocab* vocab) : vocab_(vocab) {}

  const llama_vocab* vocab() const { return vocab_; }
  /// Those that stand below no other.
  std::span<const TokenId> roots() const { return below(-1); }
  /// Those directly below `token`.
  std::span<const TokenId> below(TokenId token) const;

 private:
  void build() const;

  const llama_vocab* vocab_;
  mutable std::once_flag built_;
  mutable std::vector<TokenId> tokens_;        // by what they stand below
  mutable std::vector<std::uint32_t> begins_;  // in tokens_, of what stands below token - 1
};

}  // namespace autoglm::engine
