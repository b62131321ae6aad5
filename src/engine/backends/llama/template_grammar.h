#pragma once

#include "engine/backends/llama/grammar_constraint.h"
#include "inference/events.h"

#include <string>

struct common_chat_params;

namespace autoglm::engine {

/// llama-common's grammar for a template and a request, made stricter: an answer that must be a call begins
/// with the call or with reasoning, and it is a single call if only one is asked for.
GrammarSpec template_grammar(const common_chat_params& params, const ChatPrompt& chat);

/// Whether such a grammar enforces the requested format; some templates' grammars are for calls only.
bool has_format(const std::string& grammar);

/// Whether the prompt ends inside reasoning, which the answer has to end first.
bool begins_in_thought(const common_chat_params& params);

/// A grammar for the rest of that reasoning, then JSON by `schema`. Throws if no grammar can express that.
GrammarSpec json_behind_thought(const common_chat_params& params, const std::string& schema);

}  // namespace autoglm::engine
