#pragma once

#include "inference/endpoint.h"

#include <span>
#include <string>

namespace autoglm::protocol::openai {

/// GET /v1/models: OpenAI's list, with vLLM's `max_model_len`, and where they are known the defaults of
/// sampling with their sources: `sampling_defaults`.
std::string models_body(std::span<const ModelCard> cards);
/// GET /v1/models/{name}.
std::string model_body(const ModelCard& card);

}  // namespace autoglm::protocol::openai
