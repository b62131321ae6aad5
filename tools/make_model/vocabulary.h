#pragma once

#include "gguf_file.h"

#include <cstdint>
#include <string>
#include <vector>

namespace autoglm::make_model {

/// A byte-level BPE vocabulary of the GPT-2 family, as real as a small one can be: the three special tokens
/// of ChatML, all 256 bytes (any input can be tokenized), and merges for a list of common words with their
/// leading space. The pre-tokenizer is SmolLM's, the default model's. Immutable once built; the same for
/// every seed.
struct Vocabulary {
  static constexpr std::int32_t kEndOfText = 0;  ///< `<|endoftext|>`: BOS, put before every prompt
  static constexpr std::int32_t kImStart = 1;    ///< `<|im_start|>`
  static constexpr std::int32_t kImEnd = 2;      ///< `<|im_end|>`: EOS
  static constexpr std::int32_t kSpecials = 3;

  std::vector<std::string> tokens;
  std::vector<std::string> merges;
  /// 128 tokens whose texts, concatenated in any order, tokenize to the very same ids: whole words with their
  /// space, punctuation, the newline.
  std::vector<std::int32_t> words;

  std::int32_t size() const { return static_cast<std::int32_t>(tokens.size()); }
};

/// `minimum_size`: pads with words that no merge leads to, like those in large real vocabularies. 0: no
/// padding.
Vocabulary build_vocabulary(std::int32_t minimum_size);

/// Tokenizer metadata and the ChatML template.
void describe_vocabulary(const Vocabulary& vocabulary, GgufFile& file);

}  // namespace autoglm::make_model
