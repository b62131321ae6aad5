#pragma once

#include "engine/backends/backend.h"
#include "engine/backends/llama/token_tree.h"

#include <string>
#include <vector>

namespace autoglm::engine {

/// A grammar (GBNF, its root called "root") as llama.cpp understands it.
struct GrammarSpec {
  std::string grammar;
  std::string prefill;  ///< what stands in the prompt already, and is part of what the grammar describes
  bool lazy = false;    ///< sleeps until one of the triggers comes
  std::vector<std::string> trigger_patterns;  ///< regular expressions over all of the text
  std::vector<TokenId> trigger_tokens;
};

/// `tree` must outlive it. Errors: kInvalidArgument without a field, when the grammar cannot be parsed.
Result<std::unique_ptr<TokenConstraint>> make_grammar_constraint(const TokenTree& tree,
                                                                 const GrammarSpec& spec);

}  // namespace autoglm::engine
