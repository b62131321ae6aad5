#pragma once

#include <llama-cpp.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::make_model {

using Tokens = std::vector<llama_token>;

/// Chooses the token number `index` of a generation from all logits.
using Choose = std::function<llama_token(std::span<const float> logits, std::uint64_t index)>;

llama_token choose_best(std::span<const float> logits, std::uint64_t index);
/// A draw at temperature 1 that depends on (seed, index) and the logits only.
Choose choose_by_seed(std::uint64_t seed);

/// A sequence's generated tokens, and their logits, one vector per step.
struct Generated {
  Tokens tokens;
  std::vector<std::vector<float>> logits;
};

/// Settings of a run, none of which may change the text.
struct RunSettings {
  ggml_type cache = GGML_TYPE_F16;
  bool flash_attention = true;
  int prefill_chunk = 512;  ///< tokens of a prompt in one batch, while other sequences are already decoding
};

/// A loaded model, driven by the smallest scheduler that can batch. Single-threaded.
class LoadedModel {
 public:
  explicit LoadedModel(const std::string& path);

  const llama_vocab* vocabulary() const { return llama_model_get_vocab(model_.get()); }
  const llama_model* get() const { return model_.get(); }
  Tokens tokenize(std::string_view text, bool add_special = true, bool parse_special = true) const;
  std::string detokenize(const Tokens& tokens) const;

  /// Runs all prompts at once, in one unified KV cache, until each has generated `steps` tokens.
  std::vector<Generated> generate(const std::vector<Tokens>& prompts, int steps,
                                  const RunSettings& settings = {}, const Choose& choose = choose_best) const;

 private:
  llama_model_ptr model_;
};

}  // namespace autoglm::make_model
