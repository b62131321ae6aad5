#pragma once

#include "engine/backends/llama/grammar_constraint.h"

namespace autoglm::engine {

/// The grammar of a format. Errors: kInvalidArgument with the field `response_format` or `grammar`, saying
/// why there is none.
Result<GrammarSpec> grammar_of(const OutputFormat& format);

}  // namespace autoglm::engine
