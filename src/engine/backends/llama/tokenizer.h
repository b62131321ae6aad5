#pragma once

#include "base/result.h"
#include "inference/request.h"

#include <string_view>
#include <vector>

struct llama_vocab;

namespace autoglm::engine {

/// `text` as tokens of `vocab`; see Vocabulary::tokenize for the flags. Thread-safe. Memory and time are
/// proportional to the text's length, whatever the text is. Errors: kInvalidArgument, with the reason, for
/// text that llama.cpp cannot tokenize.
Result<std::vector<TokenId>> tokenize(const llama_vocab* vocab, std::string_view text, bool add_special,
                                      bool parse_special);

/// Whether `vocab` can tokenize any text: a gap in it would end the process at the first request.
Result<void> check_vocabulary(const llama_vocab* vocab);

}  // namespace autoglm::engine
