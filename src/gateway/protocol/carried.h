#pragma once

#include "base/result.h"
#include "inference/request.h"

#include <string>
#include <string_view>

namespace autoglm::protocol {

/// What a protocol can say of a generation, for its client codec. Whatever a request asks for and the
/// protocol cannot say is refused by name, and never left out. Members that every protocol has are not
/// listed.
struct Carried {
  bool chats = false;
  bool texts = false;
  bool tokens = false;   ///< prompts of token ids
  bool prompts = false;  ///< several at once
  bool choices = false;  ///< `n`
  bool suffix = false;
  bool plain_special = false;  ///< special tokens written in a text can stay text
  bool tools = false;
  bool tool_choice = false;  ///< that one must be called
  bool single_tool = false;  ///< at most one call
  bool continues = false;    ///< the last message can be the beginning of the answer
  bool top_k = false;
  bool min_p = false;
  bool penalties = false;  ///< presence and frequency
  bool repetition = false;
  bool typical_p = false;
  bool top_n_sigma = false;
  bool window = false;
  bool seed = false;
  bool token_choice = false;  ///< logit_bias, allowed tokens, stop tokens
  bool include_stop = false;
  bool ignore_eos = false;
  bool min_tokens = false;
  bool bad_words = false;
  bool json_object = false;
  bool json_schema = false;
  bool grammar = false;
  bool logprobs = false;
  bool truncation = false;
  bool add_special = false;
  bool salt = false;
  bool resumes = false;  ///< from tokens, or from text
};

/// Errors: `cannot_carry`, of the first thing that `request` asks for and `carried` does not have; what makes
/// a request one that nobody but its own kind of server understands.
Result<void> check_carried(const InferenceRequest& request, const Carried& carried,
                           std::string_view protocol);

/// kInvalidArgument that names `field`. Another endpoint may take it, so it may be asked. `why` follows the
/// field: "… must be at most 1".
Error cannot_carry(std::string field, std::string_view protocol, std::string_view why = {});

}  // namespace autoglm::protocol
