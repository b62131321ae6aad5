#pragma once

#include <cstdint>
#include <string>
#include <string_view>

struct llama_model;

namespace autoglm::engine {

/// What tokenizer_config.json would say of `model`, as JSON, as far as its file does: what vLLM answers at
/// /tokenizer_info, which clients read to make prompts themselves.
std::string tokenizer_info(const llama_model* model, std::uint32_t context_length,
                           std::string_view chat_template);

}  // namespace autoglm::engine
