#pragma once

#include "engine/backends/llama/grammar_constraint.h"
#include "inference/events.h"

#include <string>

struct common_chat_params;

namespace autoglm::engine {

/// What an answer must be, as llama-common has made it for a template and a request, made stricter: an answer
/// that must be a call begins with it or with a thought, and it is one where one is asked for.
GrammarSpec template_grammar(const common_chat_params& params, const ChatPrompt& chat);

/// Whether such a grammar holds the format that was asked for; some templates' are for calls alone.
bool has_format(const std::string& grammar);

/// Whether the prompt ends inside a thought, which the answer has to end first.
bool begins_in_thought(const common_chat_params& params);

/// The rest of that thought, then JSON by `schema`. Throws at one that no grammar can keep to.
GrammarSpec json_behind_thought(const common_chat_params& params, const std::string& schema);

}  // namespace autoglm::engine
