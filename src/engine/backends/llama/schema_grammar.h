#pragma once

#include "engine/backends/llama/grammar_constraint.h"

namespace autoglm::engine {

/// The grammar of a format; kInvalidArgument, naming `response_format` or `grammar`, says why there is none.
Result<GrammarSpec> grammar_of(const OutputFormat& format);

}  // namespace autoglm::engine
