#pragma once

#include "base/result.h"

#include <string>
#include <string_view>

namespace autoglm::protocol::openai {

/// A grammar, as GBNF, of the texts that `pattern` matches from their beginning to their end: Python's
/// syntax, as far as a grammar can say it. Pure. Errors: kInvalidArgument, what in it cannot be said, and
/// where; the caller names the field.
Result<std::string> grammar_of_regex(std::string_view pattern);

/// A grammar of exactly this text, as a part of a rule.
std::string grammar_of_text(std::string_view text);

}  // namespace autoglm::protocol::openai
