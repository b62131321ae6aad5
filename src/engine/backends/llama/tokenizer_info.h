#pragma once

#include <cstdint>
#include <string>
#include <string_view>

struct llama_model;

namespace autoglm::engine {

/// `model`'s tokenizer_config.json, as JSON, as far as its GGUF file has the facts. vLLM answers this at
/// /tokenizer_info; clients read it to build prompts themselves.
std::string tokenizer_info(const llama_model* model, std::uint32_t context_length,
                           std::string_view chat_template);

}  // namespace autoglm::engine
