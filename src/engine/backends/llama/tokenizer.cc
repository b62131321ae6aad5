#include "engine/backends/llama/tokenizer.h"

#include "base/utf8.h"

#include <llama.h>

#include <fmt/format.h>

#include <cstdint>
#include <exception>
#include <limits>

namespace autoglm::engine {

namespace {

constexpr std::size_t kMostTokenized = std::numeric_limits<std::int32_t>::max() / 4;

Error too_long() { return invalid_field("prompt", "the prompt is too long to be split into tokens"); }

Result<std::vector<TokenId>> try_tokenize(const llama_vocab* vocab, std::string_view text, bool add_special,
                                          bool parse_special) {
  std::vector<TokenId> tokens(text.size() / 3 + 16);
  for (int attempt = 0; attempt < 2; ++attempt) {
    const std::int32_t count =
        llama_tokenize(vocab, text.data(), static_cast<std::int32_t>(text.size()), tokens.data(),
                       static_cast<std::int32_t>(tokens.size()), add_special, parse_special);
    if (count >= 0) {
      tokens.resize(static_cast<std::size_t>(count));
      return tokens;
    }
    if (count == INT32_MIN) break;
    tokens.resize(static_cast<std::size_t>(-count));
  }
  return fail(too_long());
}

}  // namespace

Result<std::vector<TokenId>> tokenize(const llama_vocab* vocab, std::string_view text, bool add_special,
                                      bool parse_special) {
  if (text.size() > kMostTokenized) return fail(too_long());
  try {
    return try_tokenize(vocab, text, add_special, parse_special);
  } catch (const std::exception& exception) {
    return fail(
        invalid_field("prompt", fmt::format("the model's tokenizer cannot split the prompt into tokens: {}",
                                            excerpt(exception.what(), 200))));
  }
}

Result<void> check_vocabulary(const llama_vocab* vocab) {
  const bool named = (!llama_vocab_get_add_bos(vocab) || llama_vocab_bos(vocab) != LLAMA_TOKEN_NULL) &&
                     (!llama_vocab_get_add_eos(vocab) || llama_vocab_eos(vocab) != LLAMA_TOKEN_NULL) &&
                     (!llama_vocab_get_add_sep(vocab) || llama_vocab_sep(vocab) != LLAMA_TOKEN_NULL);
  if (!named) {
    return fail(ErrorCode::kDataLoss,
                "its tokenizer puts a token before or behind every text, and does not say which");
  }
  // One character of each kind: a pre-tokenizer that llama.cpp cannot use refuses all text.
  const auto tried = tokenize(vocab, "It's 1 text, \xE4\xB8\xAD\n", true, false);
  if (tried) return {};
  return fail(ErrorCode::kDataLoss, tried.error().message);
}

}  // namespace autoglm::engine
