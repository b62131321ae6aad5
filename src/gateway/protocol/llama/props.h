#pragma once

#include "inference/endpoint.h"

#include <string>
#include <string_view>

namespace autoglm::protocol::llama {

/// GET /props. `tokenizer_json`: what the model says of its tokenizer; empty: nothing.
std::string props_body(const ModelCard& card, const LoadReport& load, std::string_view tokenizer_json,
                       std::string_view build);
/// GET /slots: a slot for each sequence that can run, busy ones first.
std::string slots_body(const ModelCard& card, const LoadReport& load);

}  // namespace autoglm::protocol::llama
