#pragma once

#include "base/result.h"
#include "gateway/protocol/client_codec.h"

#include <string>
#include <string_view>

namespace autoglm::protocol::ollama {

/// A generation as the body of `/api/chat` (for a ChatPrompt) or `/api/generate`, asked as a stream. Errors:
/// kInvalidArgument, for what these cannot say.
Result<std::string> generation_body(const InferenceRequest& request, const EndpointTerms& terms,
                                    std::string_view protocol);
/// The body of `/api/embed`. Errors: likewise.
Result<std::string> embed_body(const EmbedRequest& work, std::string_view model, std::string_view protocol);

}  // namespace autoglm::protocol::ollama
