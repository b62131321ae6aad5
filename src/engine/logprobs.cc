#include "engine/logprobs.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace autoglm::engine {

Logprobs::Logprobs(std::span<const float> logits, std::uint32_t top) : logits_(logits.begin(), logits.end()) {
  const float largest = *std::ranges::max_element(logits_);
  double sum = 0;
  for (const float logit : logits_) sum += std::exp(static_cast<double>(logit - largest));
  normalizer_ = static_cast<double>(largest) + std::log(sum);
  if (top == 0) return;
  std::vector<TokenId> order(logits_.size());
  std::iota(order.begin(), order.end(), 0);
  const auto likelier = [this](TokenId a, TokenId b) {
    const float x = logits_[static_cast<std::size_t>(a)];
    const float y = logits_[static_cast<std::size_t>(b)];
    return x != y ? x > y : a < b;
  };
  const auto end = order.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(top, order.size()));
  std::partial_sort(order.begin(), end, order.end(), likelier);
  top_.assign(order.begin(), end);
}

GeneratedLogprob Logprobs::of(TokenId token, const Vocabulary& vocabulary) const {
  const auto entry = [&](TokenId id) {
    return TokenLogprob{.token = id,
                        .logprob = static_cast<double>(logits_[static_cast<std::size_t>(id)]) - normalizer_,
                        .bytes = std::string(vocabulary.piece(id))};
  };
  GeneratedLogprob out{.chosen = entry(token), .top = {}};
  const float chosen = logits_[static_cast<std::size_t>(token)];
  out.chosen.rank +=
      static_cast<std::uint32_t>(std::ranges::count_if(logits_, [chosen](float x) { return x > chosen; }));
  for (const TokenId id : top_) {
    out.top.push_back(entry(id));
    out.top.back().rank = static_cast<std::uint32_t>(out.top.size());
  }
  return out;
}

}  // namespace autoglm::engine
