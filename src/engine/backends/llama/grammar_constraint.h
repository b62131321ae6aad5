#pragma once

#include "base/result.h"
#include "engine/backends/llama/token_tree.h"
#include "engine/backends/token_constraint.h"

#include <string>
#include <vector>

namespace autoglm::engine {

/// A grammar (GBNF, its root called "root") as llama.cpp understands it.
struct GrammarSpec {
  std::string grammar;
  std::string prefill;                        ///< the end of the prompt, if the grammar describes it too
  bool lazy = false;                          ///< inactive until one of the triggers occurs
  std::vector<std::string> trigger_patterns;  ///< regular expressions over the whole text
  std::vector<TokenId> trigger_tokens;
};

/// `tree` must outlive it. Errors: kInvalidArgument without a field, when the grammar cannot be parsed.
Result<std::unique_ptr<TokenConstraint>> make_grammar_constraint(const TokenTree& tree,
                                                                 const GrammarSpec& spec);

}  // namespace autoglm::engine
