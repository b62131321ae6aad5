#pragma once

#include "base/result.h"
#include "gateway/protocol/client_codec.h"
#include "inference/request.h"

#include <string>

namespace autoglm::protocol::openai {

/// How servers that speak OpenAI's protocol differ in its words.
struct BodyForm {
  bool newer_limit = false;  ///< `max_completion_tokens` for chats, which newer models of OpenAI insist on
};

/// A generation as a body of chats (for a ChatPrompt) or of completions, asked as a stream with usage. Only
/// what the client said is in it. Errors: kInvalidArgument, for what the protocol cannot say.
Result<std::string> generation_body(const InferenceRequest& request, const EndpointTerms& terms,
                                    BodyForm form, std::string_view protocol);

/// The bodies of /embeddings, /rerank and /score. Errors: likewise.
Result<std::string> embeddings_body(const EmbedRequest& work, std::string_view model,
                                    const EndpointTerms& terms, std::string_view protocol);
std::string rerank_body(const ScoreRequest& work, std::string_view model, const EndpointTerms& terms);
std::string score_body(const ScoreRequest& work, std::string_view model, const EndpointTerms& terms);

}  // namespace autoglm::protocol::openai
