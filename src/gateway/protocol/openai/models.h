#pragma once

#include "inference/endpoint.h"

#include <span>
#include <string>

namespace autoglm::protocol::openai {

/// GET /v1/models: OpenAI's list, with vLLM's `max_model_len`.
std::string models_body(std::span<const ModelCard> cards);
/// GET /v1/models/{name}.
std::string model_body(const ModelCard& card);

}  // namespace autoglm::protocol::openai
