#pragma once

#include "base/result.h"
#include "inference/endpoint.h"

#include <span>
#include <string>
#include <string_view>

namespace autoglm::protocol::ollama {

/// The version of Ollama whose API this is; clients ask for the least that they need.
inline constexpr std::string_view kApiVersion = "0.12.0";

/// GET /api/tags: the models, with the tag ":latest" where a name has none.
std::string tags_body(std::span<const ModelCard> cards);
/// GET /api/ps: those that are ready. They stay.
std::string ps_body(std::span<const ModelCard> cards);
/// GET /api/version.
std::string version_body();

/// POST /api/show, and the names that other calls have: {"model"} or the older {"name"}.
Result<std::string> read_model_name(std::string_view body);
/// `tokenizer_json`: what the model says of its tokenizer, with its template; empty: nothing.
std::string show_body(const ModelCard& card, std::string_view tokenizer_json);

/// Why models are not pulled, made or deleted here.
Error managed_elsewhere();

}  // namespace autoglm::protocol::ollama
