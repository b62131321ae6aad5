#include "engine/backends/llama/token_tree.h"

#include <common.h>
#include <llama.h>

#include <algorithm>
#include <numeric>
#include <string>

namespace autoglm::engine {

std::span<const TokenId> TokenTree::below(TokenId token) const {
  std::call_once(built_, [this] { build(); });
  const auto slot = static_cast<std::size_t>(token + 1);
  return std::span(tokens_).subspan(begins_[slot], begins_[slot + 1] - begins_[slot]);
}

void TokenTree::build() const {
  const auto count = static_cast<std::size_t>(llama_vocab_n_tokens(vocab_));
  std::vector<std::string> texts(count);
  std::vector<TokenId> sorted(count);
  std::iota(sorted.begin(), sorted.end(), 0);
  for (const TokenId token : sorted) {
    // Grammars judge an end token by itself, not by its text, so it has no relatives.
    if (!llama_vocab_is_eog(vocab_, token))
      texts[static_cast<std::size_t>(token)] = common_token_to_piece(vocab_, token, true);
  }
  const auto text_of = [&](TokenId token) -> const std::string& {
    return texts[static_cast<std::size_t>(token)];
  };
  std::ranges::sort(sorted, {}, text_of);

  // Sorted by text, a token comes after its parent, with only other descendants of the parent in between.
  std::vector<TokenId> above(count, -1);
  std::vector<TokenId> path;
  for (const TokenId token : sorted) {
    while (!path.empty() && !text_of(token).starts_with(text_of(path.back()))) path.pop_back();
    if (text_of(token).empty()) continue;
    if (!path.empty()) above[static_cast<std::size_t>(token)] = path.back();
    path.push_back(token);
  }

  begins_.assign(count + 2, 0);
  for (const TokenId parent : above) ++begins_[static_cast<std::size_t>(parent + 2)];
  std::partial_sum(begins_.begin(), begins_.end(), begins_.begin());
  tokens_.resize(count);
  std::vector<std::uint32_t> next(begins_.begin(), begins_.end() - 1);
  for (std::size_t token = 0; token < count; ++token)
    tokens_[next[static_cast<std::size_t>(above[token] + 1)]++] = static_cast<TokenId>(token);
}

}  // namespace autoglm::engine
