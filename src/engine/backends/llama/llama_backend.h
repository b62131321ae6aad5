#pragma once

#include "engine/backends/backend.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace autoglm::engine {

struct LlamaOptions {
  std::string path;
  std::uint32_t context = 0;      ///< tokens of one sequence; 0: the model's own limit, at most 8192
  std::uint32_t cache_cells = 0;  ///< tokens of all sequences together; 0: as `context`
  std::uint32_t max_sequences = 32;
  std::uint32_t max_batch = 512;
  unsigned threads = 1;
  std::optional<ModelTask> task = {};  ///< absent: as the file says
  std::string chat_template;           ///< a file, or one of llama.cpp's names; empty: the model's own
  std::string system_message;          ///< for chats without one; empty: the model template's default
};

/// Loads a GGUF file through llama.cpp, memory-mapped, with one key-value cache that all sequences
/// share. Errors name the file, what is wrong with it and what to do.
Result<Backend> load_llama_backend(const LlamaOptions& options, const LoadProgress& progress);

/// The llama.cpp release this program was built from, for `/version` and logs.
std::string_view llama_release();

}  // namespace autoglm::engine
