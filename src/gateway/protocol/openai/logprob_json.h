#pragma once

#include "inference/events.h"

#include <string>
#include <vector>

namespace autoglm::protocol::openai {

/// `[{token, logprob, bytes, top_logprobs}]`.
void append_logprob_list(std::string& out, const std::vector<GeneratedLogprob>& logprobs);
/// Chat's form: `{"content":[{token, logprob, bytes, top_logprobs}]}`.
void append_chat_logprobs(std::string& out, const std::vector<GeneratedLogprob>& logprobs);

/// Completions' form: lists of tokens, their logprobs, the likeliest beside each, and where each begins, in
/// bytes.
void append_completion_logprobs(std::string& out, const std::vector<GeneratedLogprob>& logprobs);

/// vLLM's form: `"prompt_logprobs":[null,{"ID":{logprob, rank, decoded_token}, …}, …]`.
void append_prompt_logprobs(std::string& out, const std::vector<GeneratedLogprob>& logprobs);

}  // namespace autoglm::protocol::openai
