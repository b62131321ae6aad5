#pragma once

#include "engine/backends/llama/schema_grammar.h"
#include "engine/backends/llama/testing/tiny_vocabulary.h"
#include "fuzzing.h"

#include <vector>

namespace autoglm::fuzzing {

/// Every format must end in a constraint or in a reason. Along allowed tokens, drawn from `bytes`, the mask
/// must agree with the answers for single tokens.
inline void write_along(const OutputFormat& format, std::string_view bytes) {
  static const engine::TinyVocabulary vocabulary;
  const auto spec = engine::grammar_of(format);
  const auto made = spec ? engine::make_grammar_constraint(vocabulary.tree(), *spec) : fail(spec.error());
  if (!made) return expect(!made.error().message.empty(), "a refusal says why");
  const std::size_t count = vocabulary.size();
  std::size_t at = 0;
  for (std::size_t step = 0; step < 12; ++step) {
    std::vector<float> logits(count, 1.0F);
    const auto allowed = (*made)->mask(logits);
    if (!allowed) break;
    expect((*made)->allows(*allowed), "what a mask names is allowed");
    for (const char byte : bytes) at = at * 31 + static_cast<unsigned char>(byte);
    while (logits[at % count] != 1.0F) ++at;
    expect((*made)->allows(static_cast<TokenId>(at % count)), "what a mask leaves is allowed");
    (*made)->accept(static_cast<TokenId>(at % count));
  }
}

}  // namespace autoglm::fuzzing
