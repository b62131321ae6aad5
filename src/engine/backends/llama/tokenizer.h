#pragma once

#include "base/result.h"
#include "inference/request.h"

#include <string_view>
#include <vector>

struct llama_vocab;

namespace autoglm::engine {

/// `text` as tokens of `vocab`; Backend::tokenize says what the flags mean. Thread-safe. Takes memory and
/// time in proportion to the text, whatever it is. Errors: kInvalidArgument, with the reason, for text that
/// the library cannot take apart.
Result<std::vector<TokenId>> tokenize(const llama_vocab* vocab, std::string_view text, bool add_special,
                                      bool parse_special);

/// Whether `vocab` can take any text apart: what it lacks would end the process at the first request.
Result<void> check_vocabulary(const llama_vocab* vocab);

}  // namespace autoglm::engine
